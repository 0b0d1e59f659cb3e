"""The local web page of `ftsdk ui`: Starlette and Jinja, a few kB of JavaScript, nothing from the network."""
