"""How training rows are written and read: file types, row shapes, chats, media."""
