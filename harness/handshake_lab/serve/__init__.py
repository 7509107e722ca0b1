"""The pages of a folder, served to a browser on this machine, where runs can be continued (docs/how-to/serve.md)."""
