/* SPDX-License-Identifier: Apache-2.0 */
/* The same object that executables are linked from, loaded into this process. It is given memcpy
 * and memset and nothing else, so that what is missing shows here too. */
#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <string.h>

struct ScLoaded {
    LLVMOrcLLJITRef jit;
    ScrtModel model;
};

static bool failed(ScCtx *cx, LLVMErrorRef e)
{
    if (!e)
        return false;
    char *text = LLVMGetErrorMessage(e);
    sc_fail(cx, NULL, SC_E_LLVM, "%s", text);
    LLVMDisposeErrorMessage(text);
    return true;
}

static LLVMErrorRef define_memory_functions(LLVMOrcLLJITRef jit)
{
    LLVMJITSymbolFlags flags = {LLVMJITSymbolGenericFlagsExported, 0};
    LLVMOrcCSymbolMapPair pair[] = {
        {LLVMOrcLLJITMangleAndIntern(jit, "memcpy"), {(uintptr_t)memcpy, flags}},
        {LLVMOrcLLJITMangleAndIntern(jit, "memset"), {(uintptr_t)memset, flags}},
    };
    return LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit),
                                 LLVMOrcAbsoluteSymbols(pair, sizeof pair / sizeof *pair));
}

static bool load(ScCtx *cx, const ScObject *o, ScLoaded *l)
{
    if (failed(cx, LLVMOrcCreateLLJIT(&l->jit, NULL)))
        return false;
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(l->jit);
    LLVMMemoryBufferRef buf = LLVMCreateMemoryBufferWithMemoryRangeCopy(o->bytes, o->n, o->symbol);
    LLVMOrcExecutorAddress at;
    if (failed(cx, define_memory_functions(l->jit)) ||
        failed(cx, LLVMOrcLLJITAddObjectFile(l->jit, lib, buf)) ||
        failed(cx, LLVMOrcLLJITLookup(l->jit, &at, o->symbol)))
        return false;
    memcpy(&l->model, (const void *)(uintptr_t)at, sizeof l->model);
    return true;
}

ScLoaded *sc_load(ScCtx *cx, const ScObject *o)
{
    if (o->emit != SC_EMIT_OBJ) {
        sc_fail(cx, NULL, SC_E_LLVM, "only an object can be loaded");
        return NULL;
    }
    if (o->foreign) {
        sc_fail(cx, NULL, SC_E_LLVM, "the object is for another processor");
        return NULL;
    }
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    ScLoaded *l = scrt_alloc(sizeof *l);
    if (!l) {
        sc_fail(cx, NULL, SC_E_LLVM, "no memory to load the object");
        return NULL;
    }
    memset(l, 0, sizeof *l);
    if (!load(cx, o, l)) {
        sc_unload(l);
        return NULL;
    }
    if (!l->model.weights)
        l->model.weights = o->weights;
    return l;
}

const ScrtModel *sc_loaded_model(const ScLoaded *l)
{
    return &l->model;
}

void sc_unload(ScLoaded *l)
{
    if (!l)
        return;
    if (l->jit)
        LLVMConsumeError(LLVMOrcDisposeLLJIT(l->jit));
    scrt_free(l);
}
