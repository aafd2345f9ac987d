"""Elementwise operations and reductions over types and odd shapes, beside NumPy on the CPU.

On RTX 50 cards a build without their machine code gave wrong products and quotients, and no error
(PaddlePaddle/Paddle#73937). Shapes: one value, an odd prime few, rows that no vector width divides, broadcasts both ways,
a view that begins off any alignment, and as many values as fill the device, and three.

Values are small and positive where signs change the meaning (powers, quotients of integers). Floats are compared with
float64 results by the type's unit, 2^-23, 2^-10, 2^-7: twice what rounding costs. A quotient and a function may cost more
where the build was compiled for speed, by the units below (CUDA's table of intrinsic functions, for values up to 2); the
mean of a million values in float32 costs some dozens, by the order in which they are added (33 were measured on a CPU).
Integers and truth values must be equal.
"""

import os
import sys
import warnings

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import expect_there, on, rounded

SHAPES = [((1,), (1,)), ((3,), (3,)), ((17, 33), (17, 33)), ((1023,), (1023,))]
SHAPES += [((5, 1, 7), (3, 1)), ((33,), (17, 33)), ((4, 1023), (1,))]
UNITS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
LOOSE = {"divide": 4, "sqrt": 4, "exp": 16, "pow": 64, "mean": 256}  # float32's units more
FEW = 5  # wrong results that are told

FLOATS = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "pow", "where", "exp", "sqrt", "mean", "max")
WHOLE = ("add", "subtract", "multiply", "maximum", "minimum", "floor_divide", "remainder", "where", "sum", "max")
TRUTH = ("logical_and", "logical_or", "logical_xor", "logical_not", "where", "any", "all")
OPERATIONS = {"float32": FLOATS, "float16": FLOATS, "bfloat16": FLOATS, "int32": WHOLE, "int64": WHOLE, "bool": TRUTH}
ONE = ("exp", "sqrt", "logical_not")  # of one operand
REDUCED = ("sum", "mean", "max", "any", "all")
NUMPY = {"pow": "power"}


def operands(dtype, shapes, random):
    """Two arrays in a type of NumPy's that holds ``dtype``'s values exactly."""
    if dtype == "bool":
        return [random.random_sample(shape) < 0.5 for shape in shapes]
    if dtype in UNITS:
        return [rounded((random.random_sample(shape) * 1.9 + 0.1).astype("float32"), dtype) for shape in shapes]
    return [random.randint(1, 1000, shape).astype(dtype) for shape in shapes]


def wanted(name, left, right):
    """In float64 for floats: [values], in NumPy's own words."""
    if left.dtype.kind == "f":
        left, right = left.astype("float64"), right.astype("float64")
    if name == "where":
        return np.where(left > right, left, right)
    function = getattr(np, NUMPY.get(name, name))
    return function(left) if name in ONE + REDUCED else function(left, right)


def found(name, left, right):
    import paddle

    if name == "where":
        compared = paddle.logical_and(left, paddle.logical_not(right)) if left.dtype == paddle.bool else left > right
        shape = [max(a, b) for a, b in zip(*padded(left.shape, right.shape))]  # noqa: B905 Python 3.8
        return paddle.where(compared, *(paddle.expand(one, shape) for one in (left, right)))
    function = getattr(paddle, name)
    return function(left) if name in ONE + REDUCED else function(left, right)


def padded(*shapes):
    """Shapes with as many axes, as broadcasting takes them."""
    axes = max(map(len, shapes))
    return [[1] * (axes - len(shape)) + list(shape) for shape in shapes]


def allowed(name, dtype, right):
    """The difference that is no fault: an array like ``right``, or 0."""
    if dtype not in UNITS or name in ("maximum", "minimum", "where", "max"):
        return 0.0
    return (UNITS[dtype] + UNITS["float32"] * LOOSE.get(name, 0)) * np.abs(right)


def on_card(array, dtype, view):
    """The operand on the device; as a ``view``, it begins one value into its memory."""
    import paddle

    if not view:
        return paddle.to_tensor(array).astype(dtype)
    longer = np.concatenate([array[:1], array])
    return paddle.to_tensor(longer).astype(dtype)[1:]


def judged(name, dtype, arrays, view, device):
    """None when right, else what is wrong first."""
    left, right = (on_card(array, dtype, view) for array in arrays)
    got = found(name, left, right)
    expect_there("result of %s" % name, got, device)
    got = (got.astype("float32") if dtype in UNITS else got).numpy()
    want = np.asarray(wanted(name, *arrays))
    limit = allowed(name, dtype, want)
    if got.size != want.size:
        return {"index": None, "found": "%d values" % got.size, "expected": "%d values" % want.size}
    got = got.reshape(want.shape).astype("float64" if want.dtype.kind == "f" else want.dtype)
    wrong = ~(got == want) if want.dtype.kind != "f" else ~(np.abs(got - want) <= limit)
    if not wrong.any():
        return None
    index = tuple(int(axis) for axis in np.argwhere(np.atleast_1d(wrong))[0])
    at = (np.atleast_1d(got)[index], np.atleast_1d(want)[index])
    return {"index": list(index), "found": "%.7g" % at[0], "expected": "%.7g" % at[1], "count": int(wrong.sum())}


@on
def arithmetic(device, dtypes, many, seed):
    """{"compared": count, "wrong": [{"operation", "dtype", "shapes", "index", "found", "expected"}] (the first few),
    "wrongs": count, "right": ["float32 add"], "absent": ["float16 add"]: what this build has no kernel for}"""
    told = {"compared": 0, "wrong": [], "wrongs": 0, "right": [], "absent": []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, about sums
        for dtype in dtypes:
            for name in OPERATIONS[dtype]:
                compare(name, dtype, many, np.random.RandomState(seed), device, told)
    return told


def compare(name, dtype, many, random, device, told):
    name_of = "%s %s" % (dtype, name)
    before = told["wrongs"]
    cases = [(shapes, False) for shapes in SHAPES] + [(((1023,), (1023,)), True), (((many + 3,),) * 2, False)]
    for shapes, view in cases:
        arrays = operands(dtype, shapes, random)
        try:
            wrong = judged(name, dtype, arrays, view, device)
        except (RuntimeError, NotImplementedError) as error:
            if "is not registered" not in str(error):  # what a build lacks; all else is a fault
                raise
            told["absent"].append(name_of)
            return
        told["compared"] += 1
        if wrong:
            told["wrongs"] += 1
            shape = " and ".join("x".join(map(str, one)) for one in shapes) + (" (a view)" if view else "")
            told["wrong"] = (told["wrong"] + [dict(wrong, operation=name, dtype=dtype, shapes=shape)])[:FEW]
    if told["wrongs"] == before:
        told["right"].append(name_of)
