"""The console: draws the state that the engine sends, and turns keys into requests."""
