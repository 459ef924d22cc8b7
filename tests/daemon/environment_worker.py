"""A worker that writes its environment on its log as JSON, and ends."""

import json
import os

if __name__ == "__main__":
    print(json.dumps(dict(os.environ)), flush=True)
