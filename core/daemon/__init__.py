"""The engine: one detached process that owns studies, the journal, and the socket."""
