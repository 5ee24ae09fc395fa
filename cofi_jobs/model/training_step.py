"""One step of training: the cost on a tape, its gradient, and what Adam makes of it."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from cofi_jobs.model.cost import cost
from cofi_jobs.model.problem import Parameters, Problem


@tf.function(autograph=False)
def _cost_and_gradients(
    dense: bool, names: tuple[str, ...], parameters: Parameters, problem: Problem
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    learned = [getattr(parameters, name) for name in names]
    with tf.GradientTape() as tape:
        tape.watch(learned)
        J = cost(parameters, problem, dense=dense)
    gradients = tape.gradient(J, learned)
    # Dense tensors on purpose: Keras squares the entries of a sparse gradient before it adds up
    # those of one row.
    return J, [tf.convert_to_tensor(gradient) for gradient in gradients]


def cost_and_gradients(
    parameters: Parameters, problem: Problem, *, learned: tuple[str, ...], dense: bool = False
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """J, and its gradients by the parameters whose names are in `learned`.

    The function is traced for arrays of any length, so that steps of all sizes share one trace.
    """

    def any_length(array: np.ndarray | tf.Tensor | None) -> tf.TensorSpec | None:
        return None if array is None else tf.TensorSpec([None] * np.ndim(array), array.dtype)

    specs = tf.nest.map_structure(any_length, (parameters, problem))
    traced = _cost_and_gradients.get_concrete_function(dense, learned, *specs)
    result: tuple[tf.Tensor, list[tf.Tensor]] = traced(dense, learned, parameters, problem)
    return result


class Adam:
    """Adam (Kingma & Ba 2015) on some variables.

    `epsilon_share`: so many times the root mean square of the first gradient is added to epsilon.
    Without that the first step moves all entries alike, however little their ratings say.
    """

    def __init__(
        self, learned: Sequence[tf.Variable], beta_1: float, epsilon_share: float = 0.0
    ) -> None:
        self.learned, self.epsilon_share = list(learned), epsilon_share
        self.optimizer = keras.optimizers.Adam(beta_1=beta_1)
        self.optimizer.build(self.learned)
        self.first = True
        # One traced function leaves fewer arrays of X's size behind than operation by operation.
        self._update = tf.function(
            lambda gradients: self.optimizer.apply_gradients(
                zip(gradients, self.learned, strict=True)
            ),
            autograph=False,
        )

    def step(self, gradients: Sequence[tf.Tensor], learning_rate: float) -> None:
        """Change the variables by one step against the gradients."""
        if self.first and self.epsilon_share:
            size = float(tf.sqrt(tf.reduce_mean(gradients[0] ** 2)))
            self.optimizer.epsilon += self.epsilon_share * size
        self.first = False
        self.optimizer.learning_rate = learning_rate
        self._update(gradients)

    def arrays(self) -> dict[str, np.ndarray]:
        """The variables, and what Adam remembers of the steps so far."""
        arrays = {str(i): variable.numpy() for i, variable in enumerate(self._variables())}
        return {**arrays, "epsilon": np.float64(self.optimizer.epsilon)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Be as another one was when it gave these arrays, which had variables of these shapes."""
        for i, variable in enumerate(self._variables()):
            variable.assign(arrays[str(i)])
        self.optimizer.epsilon = float(arrays["epsilon"])
        self.first = False

    def _variables(self) -> list[tf.Variable | keras.Variable]:
        return [*self.learned, *self.optimizer.variables]
