from __future__ import annotations
def fetch_model(model, revision, folder, channel):
    raise NotImplementedError
