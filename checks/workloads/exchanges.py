"""What a rank does in a step, with Paddle: a collective operation or a message, on values that are known, or training.

Values are small whole numbers, so that sums in float32 are exact in any order: each wrong element counts. Element e of
row r, in rank n at turn t, is ``e + r % 1009 + n + t``: a row, a rank's part or a turn that is mistaken for another shows.
"""

import hashlib

import numpy as np
import paddle
import paddle.distributed as dist

WIDTH, ROWS = 1024, 1009  # elements of a row; rows until they repeat
BLOCK = 16384  # rows that are compared at once: 64 MiB, so that comparing needs no second message's memory
IMAGE, CLASSES, BATCHES = 32, 10, 4


class Exchanges:
    """The group of all ranks, formed when this is made."""

    def __init__(self, plan, who):
        self.who, self.on_gpu = who, plan["backend"] != "gloo"
        paddle.set_device("gpu:%d" % plan["gpus"][who["local"]] if self.on_gpu else "cpu")
        dist.init_parallel_env()

    def part(self, step):
        """What this rank does in ``step``."""
        if step["do"] == "train" and step.get("alone"):
            return Idle() if self.who["rank"] else Training(step, self, 1)
        if step["do"] == "train":
            return Training(step, self, self.who["size"])
        if step["do"] == "send":
            mine = [pair for pair in step["pairs"] if self.who["rank"] in pair]
            return Sending(step, self, mine[0]) if mine else Idle()
        return Exchange(step, self)

    def settle(self):
        if self.on_gpu:
            paddle.device.cuda.synchronize()


class Idle:
    """This rank takes no part."""

    def prepare(self, _turn):
        pass

    def act(self, _turn):
        pass

    def judge(self, _turn):
        return {}


class Exchange:
    """One collective operation of all ranks; ``bytes`` is the whole message, as nccl-tests count it."""

    def __init__(self, step, whole):
        self.do, self.whole, self.own, self.size = step["do"], whole, whole.who["rank"], whole.who["size"]
        parted = self.do in ("all_gather", "reduce_scatter")
        elements = step["bytes"] // 4 // (self.size if parted else 1)
        self.width = max(1, min(WIDTH, elements))
        self.rows = max(1, elements // self.width)  # of one part
        self.parts = self.size if self.do == "reduce_scatter" else 1
        self.given = self.got = None

    def pattern(self, first, rows):
        """The values without rank and turn, from row ``first`` on."""
        columns = paddle.arange(self.width, dtype="float32").reshape([1, self.width])
        return columns + (paddle.arange(first, first + rows, dtype="int64") % ROWS).astype("float32").reshape([rows, 1])

    def prepare(self, turn):
        own = float(self.own + turn)
        self.given = self.got = None  # the last turn's memory first
        if self.do == "broadcast" and self.own:
            self.given = paddle.full([self.rows, self.width], -1.0)
        else:
            self.given = self.pattern(0, self.rows * self.parts) + own
        if self.do in ("all_gather", "reduce_scatter"):
            rows = self.rows * (self.size if self.do == "all_gather" else 1)
            self.got = paddle.full([rows, self.width], -1.0)
        self.whole.settle()

    def act(self, _turn):
        if self.do == "all_reduce":
            dist.all_reduce(self.given)
        elif self.do == "broadcast":
            dist.broadcast(self.given, src=0)
        elif self.do == "all_gather":
            dist.stream.all_gather(self.got, self.given)
        else:
            dist.stream.reduce_scatter(self.got, self.given)
        self.whole.settle()

    def wanted(self, row, rows, turn):
        """What stands in these rows of the result."""
        ranks = sum(range(self.size)) + self.size * turn  # of all ranks and turns together
        if self.do == "broadcast":
            return self.pattern(row, rows) + float(turn)
        if self.do == "all_gather":
            return self.pattern(row % self.rows, rows) + float(row // self.rows + turn)
        first = self.own * self.rows if self.do == "reduce_scatter" else 0
        return self.pattern(first + row, rows) * float(self.size) + float(ranks)

    def judge(self, turn):
        """{"wrong": None} or how many elements, the first of them and its values."""
        result = self.given if self.got is None else self.got
        wrong, first = 0, None
        for part in range(0, result.shape[0], self.rows):
            for row in range(part, part + self.rows, BLOCK):
                rows = min(BLOCK, part + self.rows - row)
                got, wanted = result[row : row + rows], self.wanted(row, rows, turn)
                if not bool(paddle.equal_all(got, wanted)):
                    got, wanted = got.numpy().reshape(-1), wanted.numpy().reshape(-1)
                    places = np.flatnonzero(got != wanted)  # NaN differs from everything, as it should
                    wrong += len(places)
                    place = int(places[0])
                    first = first or [row * self.width + place, "%.9g" % got[place], "%.9g" % wanted[place]]
        return {"wrong": {"elements": wrong, "first": first} if wrong else None}


class Sending(Exchange):
    """A message from the first of a pair to the second."""

    def __init__(self, step, whole, pair):
        super().__init__(step, whole)
        self.pair, self.own = pair, pair.index(whole.who["rank"])

    def prepare(self, turn):
        if self.own:
            self.given = paddle.full([self.rows, self.width], -1.0)
        else:
            self.given = self.pattern(0, self.rows) + float(turn)
        self.whole.settle()

    def act(self, _turn):
        if self.own:
            dist.recv(self.given, src=self.pair[0])
        else:
            dist.send(self.given, dst=self.pair[1])
        self.whole.settle()

    def wanted(self, row, rows, turn):
        return self.pattern(row, rows) + float(turn)


class Training:
    """Steps of a small convolutional network, data-parallel in ``size`` ranks: other images in each, the same start."""

    def __init__(self, step, whole, size):
        self.whole, self.batch = whole, step["batch"]
        paddle.seed(20240613)
        nn, width = paddle.nn, step["width"]
        self.model = nn.Sequential(
            nn.Conv2D(3, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2D(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2D(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2D(1),
            nn.Flatten(),
            nn.Linear(2 * width, CLASSES),
        )
        self.replica = paddle.DataParallel(self.model) if size > 1 else self.model
        self.optimizer = paddle.optimizer.Momentum(0.01, parameters=self.model.parameters())
        random = np.random.RandomState(1000 + whole.who["rank"])
        shape = (BATCHES, self.batch, 3, IMAGE, IMAGE)
        self.images = paddle.to_tensor(random.standard_normal(shape).astype("float32"))
        self.labels = paddle.to_tensor(random.randint(0, CLASSES, (BATCHES, self.batch)))
        self.loss = None

    def prepare(self, _turn):
        self.whole.settle()

    def act(self, turn):
        logits = self.replica(self.images[turn % BATCHES])
        self.loss = paddle.nn.functional.cross_entropy(logits, self.labels[turn % BATCHES])
        self.loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        self.whole.settle()

    def judge(self, _turn):
        """{"digest": of all parameters, "finite"}."""
        values = [parameter.numpy() for parameter in self.model.parameters()]
        together = hashlib.sha256()
        for value in values:
            together.update(value.tobytes())
        return {"digest": together.hexdigest()[:16], "finite": all(bool(np.isfinite(value).all()) for value in values)}
