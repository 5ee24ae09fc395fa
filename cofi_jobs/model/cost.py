"""The cost J of collaborative filtering. This is the only place that knows the formula.

    J =   1/2 * sum over observed (i, j) of t_j c_ij (w_j.x_i + b_j - y_ij)^2
        + 1/2 * sum over all (i, j) of t_j alpha_j (w_j.x_i)^2
        + 1/2 * sum over i of item_penalty_i * |x_i|^2
        + 1/2 * sum over j of t_j (user_penalty_j * |w_j|^2 + bias_penalty * b_j^2)
        + 1/2 * sum over j of t_j prior_penalty * |w_j - prior|^2

c_ij is 1 for a rating. For an event it grows with the count (`Objective.confidence`). Recency
weights act only on the users' rows (`ridge.row_weights`).

t_j is how far an account is trusted (`trust`), 1 unless set otherwise. All that J says of user j
has this weight, so the best row of a user does not depend on it; X and the prior do. `problem`
multiplies it into c, alpha and the penalties.

`prior` is one row for all users, learned like X: where a user has little to say, w_j stays near it,
and the order of the items is that of what most users like.

With c = 1, a constant penalty lambda, and 0 for all else (alpha, `bias_penalty`, `prior_penalty`),
J is the cost of the textbook (A. Ng, Machine Learning, "Collaborative filtering learning
algorithm"). The term of all pairs is the one of implicit-feedback factorisation (Hu, Koren,
Volinsky 2008, ICDM). The penalty that grows with the number of ratings is the one of Zhou et al.
2008 (AAIM).
"""

import tensorflow as tf

from cofi_jobs.model.problem import Parameters, Problem


def cost(parameters: Parameters, problem: Problem, *, dense: bool = False) -> tf.Tensor:
    """J of a group of users and all their ratings, a scalar.

    `dense` computes w_j.x_i of the ratings by way of the products of all users and all items. That
    is faster where users rate many of the items, and takes n_users x n_items numbers of memory.
    """
    X, W, b, prior = parameters
    user, item = problem.user_index, problem.item_index
    if dense:
        all_products = tf.matmul(W, X, transpose_b=True)
        products = tf.gather_nd(all_products, tf.stack([user, item], axis=1))
    else:
        products = tf.reduce_sum(tf.gather(W, user) * tf.gather(X, item), axis=1)
    squares = (products + tf.gather(b, user) - problem.y) ** 2
    J = tf.reduce_sum(squares if problem.weight is None else problem.weight * squares)
    J += tf.reduce_sum(problem.item_penalty[:, None] * X**2)
    J += tf.reduce_sum(problem.user_penalty[:, None] * W**2)
    J += tf.reduce_sum(problem.bias_penalty * b**2)
    if prior is not None:
        J += tf.reduce_sum(problem.prior_penalty * tf.reduce_sum((W - prior) ** 2, axis=1))
    if problem.alpha is not None:
        # The sum over all pairs of alpha_j (w_j.x_i)^2 is <X'X, W' diag(alpha) W>, so no matrix of
        # items x users is built.
        items = tf.matmul(X, X, transpose_a=True)
        users = tf.matmul(W, problem.alpha[:, None] * W, transpose_a=True)
        J += tf.reduce_sum(items * users)
    return J / 2
