"""The cost J of collaborative filtering. This is the only place that knows the formula.

    J =   1/2 * sum over observed (i, j) of c_ij (w_j.x_i + b_j - y_ij)^2
        + 1/2 * sum over all (i, j) of alpha_j (w_j.x_i)^2
        + 1/2 * sum over i of item_penalty_i * |x_i|^2
        + 1/2 * sum over j of (user_penalty_j * |w_j|^2 + bias_penalty * b_j^2)

With c = 1, alpha = 0, a constant penalty lambda and `bias_penalty = 0` it is the cost of the textbook (A. Ng, Machine
Learning, "Collaborative filtering learning algorithm"). The all-pairs term is the one of implicit-feedback
factorisation (Hu, Koren, Volinsky 2008, ICDM), the penalty that grows with the number of ratings is the one of Zhou
et al. 2008 (AAIM).
"""

import tensorflow as tf


def cost(
    X: tf.Tensor,
    W: tf.Tensor,
    b: tf.Tensor,
    user_index: tf.Tensor,
    item_index: tf.Tensor,
    y: tf.Tensor,
    item_penalty: tf.Tensor,
    user_penalty: tf.Tensor,
    alpha: tf.Tensor | None = None,
    *,
    bias_penalty: float = 0.0,
    weight: tf.Tensor | float = 1.0,
    dense: bool = False,
) -> tf.Tensor:
    """J of some users and all their observed ratings, a scalar.

    Shapes: `X` (n_items, n_features), `W` (n_users, n_features), `b` (n_users,), `item_penalty` (n_items,),
    `user_penalty` and `alpha` (n_users,); `user_index`, `item_index`, `y` and `weight`, which is c, have one entry for
    each rating. Where `item_penalty` is scaled by the part that these ratings are of all, the J of disjoint groups of
    users add up to that of all users. `dense` takes w_j.x_i of the ratings out of all users' and items' products:
    sooner done where users rate many of the items.
    """
    if dense:
        products = tf.gather_nd(
            tf.matmul(W, X, transpose_b=True), tf.stack([user_index, item_index], axis=1)
        )
    else:
        products = tf.reduce_sum(tf.gather(W, user_index) * tf.gather(X, item_index), axis=1)
    J = tf.reduce_sum(weight * (products + tf.gather(b, user_index) - y) ** 2)
    J += tf.reduce_sum(item_penalty[:, None] * X**2) + tf.reduce_sum(user_penalty[:, None] * W**2)
    J += bias_penalty * tf.reduce_sum(b**2)
    if alpha is not None:
        # sum over all pairs of alpha_j (w.x)^2 = <X'X, W' diag(alpha) W>: no items x users matrix is ever built.
        items, users = (
            tf.matmul(X, X, transpose_a=True),
            tf.matmul(W, alpha[:, None] * W, transpose_a=True),
        )
        J += tf.reduce_sum(items * users)
    return J / 2
