"""llama.cpp's own server, from a wheel, and other formats of a model.

llama.py serve FILE PORT SLOTS
llama.py as FORMAT FROM TO
"""

from __future__ import annotations

import sys
import threading


def serve(file: str, port: str, slots: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {"small"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_parallel = int(slots)
    params.n_ctx = 1024 * int(slots)
    params.cpuparams.n_threads = 2
    params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    print(f"listens at {server.listening_address}", flush=True)
    threading.Event().wait()


def convert(name: str, source: str, target: str) -> None:
    """The same values as near as the format has them. Vectors stay as they are."""
    import gguf
    import numpy
    from gguf.quants import dequantize, quantize

    wanted = gguf.GGMLQuantizationType[name]
    read = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for field in read.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        value = field.contents()
        if field.name == "general.file_type":
            value = int(gguf.LlamaFileType[f"MOSTLY_{name}"])
        writer.add_key_value(field.name, value, kind, sub_type=inner)
    for tensor in read.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if values.ndim == 1:
            writer.add_tensor(tensor.name, values)
        else:
            writer.add_tensor(tensor.name, quantize(values, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    {"serve": serve, "as": convert}[what](*arguments)
