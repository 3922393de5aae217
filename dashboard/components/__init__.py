"""Own screen components: plain data in, events out."""
