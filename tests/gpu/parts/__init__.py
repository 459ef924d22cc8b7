"""The parts of the ticket, one file each."""
