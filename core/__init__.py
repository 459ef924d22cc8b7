"""trimtab's core: the engine, its workers, and all that they agree on with the console."""
