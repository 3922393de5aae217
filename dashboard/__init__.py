"""The application: headless services, the worker, the command line and the screens."""
