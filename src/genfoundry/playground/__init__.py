"""A static page on which shipped files run in the browser."""
