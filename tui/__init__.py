"""The console: draws the state it is sent, turns keys into requests, keeps no truth of its own."""
