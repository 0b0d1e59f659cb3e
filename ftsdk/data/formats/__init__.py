"""How training rows are written and read: file types, row shapes, chats, media.

More than fifteen files: each kind of file, form of a row and question about its fields has its own.
"""
