"""All that engine, worker and console agree on."""
