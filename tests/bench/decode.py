# SPDX-License-Identifier: Apache-2.0
"""GPT-2 small, one token after 127, beside ONNX Runtime and llama.cpp: `tests/bench/run decode [--threads N]`.

All weights are Gaussian. Each round times all sides, one after the other; a line has the median time of a side, and of
ONNX Runtime's f32, its int8 and llama.cpp's Q8_0 and Q4_0 the time over the side's: above 1 is faster than they.
llama.cpp is that of the package xllamacpp, called through its C API: a token is decoded again and again at the same
place of the cache, nothing is sampled. All matrices of its files are of the type that is named. Lines of a recipe are of
programs that take the cache as inputs and give back the next one, as ONNX Runtime does; `kept` of those whose cache is a
state (`--state`), to which a token is appended in place, as in llama.cpp: from PAST on it grows with each of a slice."""
import argparse
import ctypes
import glob
import importlib.util
import os
import tempfile
import time

import gguf
import numpy as np

import models
from bench import ROUNDS, per_call
from peers import compiled, int8, peer
from rewritten import made_up
from scalec import Model, scalec, tensors

SLICE = 0.1  # seconds a side and round
REST = 0.02  # and after llama.cpp's, until its threads sleep
RECIPES = ["f32", "fp8", "fp8-weights", "mxfp4-weights"]
KEPT = [r + ", kept" for r in RECIPES]
BESIDE = ["ORT f32", "ORT int8", "Q8_0", "Q4_0"]


def write_gguf(path, kind):
    """GPT-2 small with matrices of the type; vectors are f32."""
    rng, w = np.random.default_rng(1), gguf.GGUFWriter(path, "gpt2")
    w.add_context_length(1024)
    w.add_embedding_length(models.WIDE)
    w.add_block_count(models.LAYERS)
    w.add_feed_forward_length(4 * models.WIDE)
    w.add_head_count(models.HEADS)
    w.add_layer_norm_eps(1e-5)
    w.add_vocab_size(models.WORDS)
    w.add_tokenizer_model("none")

    def matrix(name, rows, cols, rms):
        x = (rms * rng.standard_normal((rows, cols))).astype(np.float32)
        w.add_tensor(name + ".weight", gguf.quants.quantize(x, kind), raw_dtype=kind)

    def vector(name, n, mean=0):
        w.add_tensor(name, (mean + 0.02 * rng.standard_normal(n)).astype(np.float32))

    def norm(name):
        vector(name + ".weight", models.WIDE, 1)
        vector(name + ".bias", models.WIDE)

    matrix("token_embd", models.WORDS, models.WIDE, 0.02)
    w.add_tensor("position_embd.weight", (0.02 * rng.standard_normal((1024, models.WIDE))).astype(np.float32))
    norm("output_norm")
    for i in range(models.LAYERS):
        norm(f"blk.{i}.attn_norm")
        norm(f"blk.{i}.ffn_norm")
        for name, k, n in (("attn_qkv", models.WIDE, 3 * models.WIDE), ("attn_output", models.WIDE, models.WIDE),
                           ("ffn_up", models.WIDE, 4 * models.WIDE), ("ffn_down", 4 * models.WIDE, models.WIDE)):
            matrix(f"blk.{i}.{name}", n, k, k ** -0.5)
            vector(f"blk.{i}.{name}.bias", n)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Params(ctypes.Structure):
    """Of llama.cpp, passed on as its own functions make them: with room to spare, since nothing of them is read here."""
    _fields_ = [("bytes", ctypes.c_ubyte * 1024)]


class Batch(ctypes.Structure):
    """llama_batch."""
    _fields_ = [("n", ctypes.c_int32), ("pointers", ctypes.c_void_p * 6)]


def llama(path, threads):
    """A function that decodes the token behind PAST others."""
    so = glob.glob(os.path.join(os.path.dirname(importlib.util.find_spec("xllamacpp").origin), "*.so"))[0]
    lib, ptr, i32 = ctypes.CDLL(so), ctypes.c_void_p, ctypes.c_int32

    def function(name, ret, *args):
        f = getattr(lib, "llama_" + name)
        f.restype, f.argtypes = ret, args
        return f

    log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ptr)(lambda *_: None)
    function("log_set", None, ptr, ptr)(ctypes.cast(log, ptr), None)
    function("backend_init", None)()
    load = function("model_load_from_file", ptr, ctypes.c_char_p, Params)
    model = load(path.encode(), function("model_default_params", Params)())
    ctx = function("init_from_model", ptr, ptr, Params)(model, function("context_default_params", Params)())
    if not ctx:
        raise RuntimeError(f"{path}: llama.cpp does not take it")
    function("set_n_threads", None, ptr, i32, i32)(ctx, threads, threads)
    batch, decode = function("batch_get_one", Batch, ptr, i32), function("decode", i32, ptr, Batch)
    memory = function("get_memory", ptr, ptr)(ctx)
    forget = function("memory_seq_rm", ctypes.c_bool, ptr, i32, i32, i32)
    prompt = (i32 * models.PAST)(*range(1, models.PAST + 1))
    if decode(ctx, batch(prompt, models.PAST)):
        raise RuntimeError("llama_decode: the prompt")
    token = (i32 * 1)(5)

    def call(_keep=log):
        if decode(ctx, batch(token, 1)):
            raise RuntimeError("llama_decode")
        forget(memory, 0, models.PAST, -1)
    return call


def kept(path, recipe, threads, tmp):
    """A function that decodes the next token, and one after which that is the one behind PAST others again."""
    so = os.path.join(tmp, recipe + ".kept.so")
    scalec("compile", path, "--emit", "so", "--symbol", "model", "--recipe", recipe, "--embed-limit", 1 << 40,
           "--state", "present.*=past.*", "--state-capacity", 1024, "-o", so)
    m = Model(so, threads=threads)
    rng = np.random.default_rng(2)
    shape = (1, models.HEADS, models.PAST, models.WIDE // models.HEADS)
    cache, given = tensors([rng.standard_normal(shape).astype(np.float32) for _ in range(m.head.n_state)])

    def again(_keep=cache):
        m.lib.scrt_state_reset(m.session)
        for i in range(m.head.n_state):
            if m.lib.scrt_state_set(m.session, i, ctypes.byref(given[i])):
                raise RuntimeError("scrt_state_set")
    again()
    names = [m.entry.inp[i].name.decode() for i in range(m.entry.n_in)]
    feeds = {"ids": 5, "place": models.PAST}
    return m.caller(*(np.full((1, 1), feeds[n], np.int64) for n in names)), again


def sides(threads, tmp):
    """Column -> function, and what is to be called before a slice of it."""
    path = models.make("gpt2-decode", tmp)
    feeds = made_up(path)
    ret = {"ORT f32": peer(path, feeds, threads), "ORT int8": int8(path, feeds, threads, tmp)}
    for kind in ("Q8_0", "Q4_0"):
        file = os.path.join(tmp, kind + ".gguf")
        write_gguf(file, gguf.GGMLQuantizationType[kind])
        ret[kind] = llama(file, threads)
    ret.update({r: compiled(path, feeds, r, threads, tmp) for r in RECIPES})
    again, path = {}, models.make("gpt2-grows", tmp)
    for name, r in zip(KEPT, RECIPES):
        ret[name], again[name] = kept(path, r, threads, tmp)
    return ret, again


def times(threads):
    """Column -> its time in ms, a round each."""
    with tempfile.TemporaryDirectory() as tmp:
        side, again = sides(threads, tmp)
        ms = {c: [] for c in side}
        for _ in range(ROUNDS):
            for c, fn in side.items():
                again.get(c, lambda: None)()
                ms[c].append(1e3 * per_call(fn, SLICE))
                time.sleep(REST if c.startswith("Q") else 0)
    return {c: np.array(x) for c, x in ms.items()}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", type=int, default=2)
    threads = p.parse_args().threads
    ms = times(threads)
    print(f"{threads} threads            ms {' '.join(f'{c:>8}' for c in BESIDE)}")
    for c in ms:
        ratios = [np.median(ms[b] / ms[c]) for b in BESIDE]
        print(f"{c:<19} {np.median(ms[c]):6.2f} {' '.join(f'{r:8.2f}' for r in ratios)}")


if __name__ == "__main__":
    main()
