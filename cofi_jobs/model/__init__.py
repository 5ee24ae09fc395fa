"""Learning: from ratings to factors.

It holds the cost J, the two objectives (rating model and ranking model), gradients, the exact ridge
solution of a user's row, the training loop, and the warm start. The functions take and return
arrays. This room uses `engine`, `settings` and `core`, and it is the only room that imports
TensorFlow and Keras. It knows no store: a task reads the ratings and writes the factors.
"""
