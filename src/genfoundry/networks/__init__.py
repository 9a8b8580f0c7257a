"""Networks that several families share: no loss, no params."""
