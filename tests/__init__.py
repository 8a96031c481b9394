"""Each test's name or docstring states the promise it keeps."""
