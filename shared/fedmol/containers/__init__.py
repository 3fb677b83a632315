"""A federation in containers: the compose file that its settings stand for, and a consortium played from it."""
