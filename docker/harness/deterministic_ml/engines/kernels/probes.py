"""The probes: each an operator that models are made of, called at the sizes where its kernels change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from .bench import Bench, Case, Probe, short
from .ranks import all_reduce

# On both sides of the tiles that matrix products are cut into.
_ROWS = (1, 2, 3, 4, 8, 16, 17, 32, 64, 65, 128, 129, 256)
_FEW_ROWS = (1, 2, 17, 65)


def matmul(bench: Bench) -> Iterator[Case]:
    """Rows times a matrix of weights, by shape and number of rows."""
    for dtype in bench.dtypes:
        for inner, outer in ((576, 1536), (1536, 576), (2048, 2048)):
            # As small as trained weights are: a row's sum stays near 1.
            weight = partial(bench.numbers, f"matmul weight {outer}x{inner}", outer, inner, dtype=dtype, scale=-5)
            for rows in _ROWS:
                yield Case(
                    f"{short(dtype)} {rows}x{inner}x{outer}",
                    rows,
                    partial(_linear, bench, f"matmul rows {inner}", inner, dtype, weight),
                )


def _linear(
    bench: Bench, name: str, inner: int, dtype: torch.dtype, weight: Callable[[], torch.Tensor], rows: int
) -> torch.Tensor:
    return F.linear(bench.numbers(name, rows, inner, dtype=dtype), weight())


_BACKENDS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
_HEADS, _HEAD = 4, 64


def attention(bench: Bench) -> Iterator[Case]:
    """Each back end of SDPA: prompts that are prefilled, and a token that is decoded. A row is a sequence."""
    for dtype in bench.dtypes:
        for name, backend in _BACKENDS.items():
            call = partial(_attend, bench, backend, dtype)
            if not bench.can(f"attention {name} {short(dtype)}", partial(call, 16, 16, 1)):
                continue
            for length in (16, 17, 128, 257):
                case = f"{name} {short(dtype)} prefill of {length}"
                yield Case(case, 1, partial(call, length, length), beside=2)
            for length in (17, 128, 257, 1024):
                case = f"{name} {short(dtype)} decode after {length}"
                yield Case(case, 1, partial(call, 1, length), beside=2)


def _attend(bench: Bench, backend: SDPBackend, dtype: torch.dtype, queries: int, keys: int, rows: int) -> torch.Tensor:
    query = bench.numbers(f"attention query {queries}", rows, _HEADS, queries, _HEAD, dtype=dtype, scale=1)
    key, value = (
        bench.numbers(f"attention {what} {keys}", rows, _HEADS, keys, _HEAD, dtype=dtype, scale=1)
        for what in ("key", "value")
    )
    with sdpa_kernel([backend]):
        return F.scaled_dot_product_attention(query, key, value, is_causal=queries > 1)


def rmsnorm(bench: Bench) -> Iterator[Case]:
    """Root mean square over the hidden size, by PyTorch's own operator and as models write it out."""
    for dtype in bench.dtypes:
        for hidden in (576, 2048, 4096):
            for rows in _FEW_ROWS:
                for name, call in (("fused", _rms_fused), ("written out", _rms_written)):
                    yield Case(f"{name} {short(dtype)} {rows}x{hidden}", rows, partial(call, bench, dtype, hidden))


def _rms_fused(bench: Bench, dtype: torch.dtype, hidden: int, rows: int) -> torch.Tensor:
    weight = bench.numbers(f"rmsnorm weight {hidden}", hidden, dtype=dtype)
    return F.rms_norm(bench.numbers(f"rmsnorm rows {hidden}", rows, hidden, dtype=dtype), (hidden,), weight, 1e-6)


def _rms_written(bench: Bench, dtype: torch.dtype, hidden: int, rows: int) -> torch.Tensor:
    weight = bench.numbers(f"rmsnorm weight {hidden}", hidden, dtype=dtype)
    x = bench.numbers(f"rmsnorm rows {hidden}", rows, hidden, dtype=dtype).float()
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).to(dtype)


def softmax(bench: Bench) -> Iterator[Case]:
    """Over a row of attention scores, and over a vocabulary."""
    for dtype in bench.dtypes:
        for width in (257, 4096, 49152):
            for rows in (1, 2, 17):
                for name, call in (("plain", torch.softmax), ("log", torch.log_softmax)):
                    yield Case(
                        f"{name} {short(dtype)} {rows}x{width}",
                        rows,
                        partial(_over_rows, bench, "softmax", partial(call, dim=-1), dtype, width),
                        beside=8,
                    )


_REDUCTIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sum": partial(torch.sum, dim=-1),
    "mean": partial(torch.mean, dim=-1),
    "variance": partial(torch.var, dim=-1),
    "log-sum-exp": partial(torch.logsumexp, dim=-1),
    "running sum": partial(torch.cumsum, dim=-1),
}


def reductions(bench: Bench) -> Iterator[Case]:
    """A row to a number, and its running sum. The longest rows are shared out among threads or blocks."""
    for dtype in bench.dtypes:
        for width in (1000, 4096, 262144):
            for rows in (1, 2, 17) if width < 10_000 else (1,):
                for name, call in _REDUCTIONS.items():
                    yield Case(
                        f"{name} {short(dtype)} {rows}x{width}",
                        rows,
                        partial(_over_rows, bench, "reductions", call, dtype, width),
                        beside=8 if width < 10_000 else 1,
                    )
    yield from _among_ranks(bench)


# From where NCCL sends a few bytes at once to where it sends them in a ring.
_SHARED_ROWS = (1, 17, 256)
_SHARED = 2048


def _among_ranks(bench: Bench) -> Iterator[Case]:
    """Sums over several devices, as tensor parallelism has them after each layer."""
    if bench.ranks == 1:
        bench.left_out["all-reduce"] = "one device"
        return
    for dtype in bench.dtypes:
        call = partial(_all_reduce, bench, dtype)
        if bench.can(f"all-reduce {short(dtype)}", partial(call, 1)):
            for rows in _SHARED_ROWS:
                yield Case(f"all-reduce of {bench.ranks} {short(dtype)} {rows}x{_SHARED}", rows, call)


def _all_reduce(bench: Bench, dtype: torch.dtype, rows: int) -> torch.Tensor:
    names = [f"all-reduce rows of {rank}" for rank in range(bench.ranks)]
    shares = [bench.numbers(name, rows, _SHARED, dtype=dtype, scale=2) for name in names]
    return all_reduce(bench.device, bench.ranks)(shares)


def activations(bench: Bench) -> Iterator[Case]:
    """What is done to each number by itself: a vector's worth at a time, and what is left over at the end."""
    for dtype in bench.dtypes:
        for name, call in (("silu", F.silu), ("gelu", F.gelu), ("exp", torch.exp), ("tanh", torch.tanh)):
            for width in (1000, 1536):
                yield Case(
                    f"{name} {short(dtype)} 17x{width}",
                    17,
                    partial(_over_rows, bench, "activations", call, dtype, width),
                )


def _over_rows(
    bench: Bench,
    probe: str,
    call: Callable[[torch.Tensor], torch.Tensor],
    dtype: torch.dtype,
    width: int,
    rows: int,
) -> torch.Tensor:
    return call(bench.numbers(f"{probe} rows {width}", rows, width, dtype=dtype, scale=2))


_PLACES, _SCATTERED = 64, 4096


def scatter(bench: Bench) -> Iterator[Case]:
    """Many numbers added up in few places: where two meet, the order of the sum is the kernel's."""
    for dtype in bench.dtypes:
        for name, call in (("scatter-add", _scatter_add), ("index-add", _index_add), ("index-put", _index_put)):
            for rows in (1, 17):
                yield Case(
                    f"{name} {short(dtype)} {rows}x{_SCATTERED} into {_PLACES}", rows, partial(call, bench, dtype)
                )


def _scattered(bench: Bench, dtype: torch.dtype, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Zeros, numbers to add, and where to."""
    zeros = torch.zeros(rows, _PLACES, dtype=dtype, device=bench.device)
    numbers = bench.numbers("scatter rows", rows, _SCATTERED, dtype=dtype)
    return zeros, numbers, bench.integers("scatter places", _SCATTERED, below=_PLACES)


def _scatter_add(bench: Bench, dtype: torch.dtype, rows: int) -> torch.Tensor:
    zeros, numbers, places = _scattered(bench, dtype, rows)
    return zeros.scatter_add(1, places.expand(rows, -1), numbers)


def _index_add(bench: Bench, dtype: torch.dtype, rows: int) -> torch.Tensor:
    zeros, numbers, places = _scattered(bench, dtype, rows)
    return zeros.index_add(1, places, numbers)


def _index_put(bench: Bench, dtype: torch.dtype, rows: int) -> torch.Tensor:
    zeros, numbers, places = _scattered(bench, dtype, rows)
    row = torch.arange(rows, device=bench.device)[:, None].expand(rows, _SCATTERED)
    return zeros.index_put((row, places.expand(rows, -1)), numbers, accumulate=True)


def rope(bench: Bench) -> Iterator[Case]:
    """Rotary positions as models write them out, the table of angles among it. A row is a position."""
    for dtype in bench.dtypes:
        for theta in (10_000, 500_000):
            for rows in (*_FEW_ROWS, 1024):
                yield Case(f"{short(dtype)} theta {theta}, {rows} positions", rows, partial(_rope, bench, dtype, theta))


def _rope(bench: Bench, dtype: torch.dtype, theta: int, rows: int) -> torch.Tensor:
    steps = torch.arange(0, _HEAD, 2, dtype=torch.float32, device=bench.device)
    inverse = 1.0 / (theta ** (steps / _HEAD))
    # A power of two apart, so that the last position is far away and yet exact.
    positions = torch.arange(rows, dtype=torch.float32, device=bench.device) * 4
    angles = torch.outer(positions, inverse).repeat(1, 2)[:, None, :]
    x = bench.numbers("rope rows", rows, _HEADS, _HEAD, dtype=dtype)
    half = _HEAD // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * angles.cos().to(dtype) + turned * angles.sin().to(dtype)


_INNER, _OUTER = 576, 1536


def quantised(bench: Bench) -> Iterator[Case]:
    """Products of rounded weights: whole numbers exactly, in eight-bit floats, and scaled back beforehand."""
    for name, call, rows_of in (
        ("int8 by int8", partial(_int8, bench), (32, 65)),
        ("fp8 by fp8", partial(_fp8, bench), (1, 17, 65)),
    ):
        if bench.can(f"quantised {name}", partial(call, 32)):
            for rows in rows_of:
                yield Case(f"{name} {rows}x{_INNER}x{_OUTER}", rows, call)
    for dtype in bench.dtypes:
        for name, of in (("int8 weights packed", _int8_packed), ("int8 weights scaled back", _int8_weights)):
            call = partial(of, bench, dtype)
            if bench.can(f"quantised {name} {short(dtype)}", partial(call, 32)):
                for rows in _FEW_ROWS:
                    yield Case(f"{name} {short(dtype)} {rows}x{_INNER}x{_OUTER}", rows, call)


def _bytes(bench: Bench, name: str, *shape: int) -> torch.Tensor:
    return (bench.integers(name, *shape, below=256) - 128).to(torch.int8)


# Of each column of weights: powers of two would hide how a product is scaled.
def _scales(bench: Bench, dtype: torch.dtype) -> torch.Tensor:
    return bench.numbers("quantised scales", _OUTER, dtype=dtype, scale=-9)


def _int8(bench: Bench, rows: int) -> torch.Tensor:
    product = torch._int_mm(
        _bytes(bench, "quantised rows int8", rows, _INNER), _bytes(bench, "quantised weight", _OUTER, _INNER).t()
    )
    return product.float() * _scales(bench, torch.float32)


def _fp8(bench: Bench, rows: int) -> torch.Tensor:
    one = torch.ones((), device=bench.device)
    left = bench.numbers("quantised rows", rows, _INNER).to(torch.float8_e4m3fn)
    right = bench.numbers("quantised weight fp8", _OUTER, _INNER, scale=-3).to(torch.float8_e4m3fn)
    return torch._scaled_mm(left, right.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)


def _int8_packed(bench: Bench, dtype: torch.dtype, rows: int) -> torch.Tensor:
    left = bench.numbers("quantised rows", rows, _INNER, dtype=dtype)
    weight = _bytes(bench, "quantised weight", _OUTER, _INNER)
    return torch._weight_int8pack_mm(left, weight, _scales(bench, dtype))


def _int8_weights(bench: Bench, dtype: torch.dtype, rows: int) -> torch.Tensor:
    weight = _bytes(bench, "quantised weight", _OUTER, _INNER).to(dtype) * _scales(bench, dtype)[:, None]
    return F.linear(bench.numbers("quantised rows", rows, _INNER, dtype=dtype), weight)


# As src/engine/engines/kernels.ts names them.
PROBES: Mapping[str, Probe] = {
    "matmul": matmul,
    "attention": attention,
    "rmsnorm": rmsnorm,
    "softmax": softmax,
    "reductions": reductions,
    "activations": activations,
    "scatter": scatter,
    "rope": rope,
    "quantised": quantised,
}
