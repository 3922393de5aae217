"""Dense encoders on open_clip: specs, towers, sliding windows. Nothing is imported from here.

`core.encoder` is the front door (`load_encoder`); `core.encoders.spec` needs no torch.
"""
