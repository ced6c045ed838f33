/* SPDX-License-Identifier: Apache-2.0 */
/* The LLVM module: set-up, the light pass list, emission; the packed constants. */
#include "codegen/module.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>

/* No vectoriser, no unroller, no inliner of its own mind: vectors and accumulators are explicit.
 * What remains turns variables into registers, merges equal loads and address arithmetic, and
 * hoists what loops do not change. */
static const char pass_list[] = "always-inline,function(sroa,early-cse<memssa>,instsimplify,"
                                "simplifycfg,loop-mssa(licm),early-cse<memssa>,simplifycfg,adce)";

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *cx)
{
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError)
        return;
    char *text = LLVMGetDiagInfoDescription(info);
    sc_fail(cx, NULL, SC_E_LLVM, "%s", text);
    LLVMDisposeMessage(text);
}

static void make_types(CgModule *m)
{
    m->t_void = LLVMVoidTypeInContext(m->ctx);
    m->t_ptr = LLVMPointerTypeInContext(m->ctx, 0);
    m->i1 = LLVMInt1TypeInContext(m->ctx);
    m->i8 = LLVMInt8TypeInContext(m->ctx);
    m->i16 = LLVMInt16TypeInContext(m->ctx);
    m->i32 = LLVMInt32TypeInContext(m->ctx);
    m->i64 = LLVMInt64TypeInContext(m->ctx);
    m->f16 = LLVMHalfTypeInContext(m->ctx);
    m->bf16 = LLVMBFloatTypeInContext(m->ctx);
    m->f32 = LLVMFloatTypeInContext(m->ctx);
    m->f64 = LLVMDoubleTypeInContext(m->ctx);
    m->t_body =
        LLVMFunctionType(m->t_void, (LLVMTypeRef[]){m->t_ptr, m->i64, m->i64, m->i32}, 4, 0);
    m->t_entry = LLVMFunctionType(m->t_void, &m->t_ptr, 1, 0);
}

bool cg_module_init(CgModule *m, ScCtx *cx, const ScCodegenOptions *opt)
{
    *m = (CgModule){.cx = cx, .opt = opt, .arena = sc_arena_new()};
    CgTarget *levels = sc_array(m->arena, CgTarget, CG_LEVELS);
    m->n_level = cg_targets(cx, m->arena, opt, levels);
    if (!m->n_level)
        return false;
    m->levels = levels;
    m->target = levels[0];
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(m->target.triple, &target, &message)) {
        sc_fail_file(cx, NULL, SC_E_TARGET, "%s", message);
        LLVMDisposeMessage(message);
        return false;
    }
    m->tm = LLVMCreateTargetMachine(target, m->target.triple, m->target.cpu, m->target.features,
                                    opt->quick ? LLVMCodeGenLevelNone : LLVMCodeGenLevelDefault,
                                    LLVMRelocPIC, LLVMCodeModelDefault);
    m->ctx = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(m->ctx, on_diagnostic, cx);
    m->mod = LLVMModuleCreateWithNameInContext("scalec", m->ctx);
    LLVMSetTarget(m->mod, m->target.triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(m->tm);
    LLVMSetModuleDataLayout(m->mod, layout);
    LLVMDisposeTargetData(layout);
    make_types(m);
    return true;
}

void cg_module_done(CgModule *m)
{
    cg_listing_done(m);
    if (m->mod)
        LLVMDisposeModule(m->mod);
    if (m->tm)
        LLVMDisposeTargetMachine(m->tm);
    if (m->ctx)
        LLVMContextDispose(m->ctx);
    cg_weights_done(&m->weights);
    sc_arena_free(m->arena);
}

static void add_string(CgModule *m, LLVMValueRef fn, const char *key, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(m->ctx, key, (unsigned)strlen(key), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, a);
}

static void attribute(CgModule *m, LLVMValueRef fn, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(m->ctx, kind, 0));
}

const char *cg_shared_name(CgModule *m, const char *name)
{
    return m->target.level ? sc_printf(m->arena, "%s.l%u", name, m->target.level) : name;
}

LLVMValueRef cg_function(CgModule *m, const char *name, LLVMTypeRef type)
{
    char bits[16];
    snprintf(bits, sizeof bits, "%u", m->target.vec_bits);
    LLVMValueRef fn = LLVMAddFunction(m->mod, name, type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    add_string(m, fn, "target-cpu", m->target.cpu);
    add_string(m, fn, "tune-cpu", m->target.tune);
    add_string(m, fn, "target-features", m->target.features);
    /* LLVM's tuning prefers 256 bits even where 512 are faster. */
    add_string(m, fn, "prefer-vector-width", bits);
    add_string(m, fn, "min-legal-vector-width", bits);
    add_string(m, fn, "no-builtins", "");
    attribute(m, fn, "nounwind");
    return fn;
}

/* --- Constants --------------------------------------------------------------------- */

bool cg_const_check(CgModule *m, const ScGraph *g, const ScNode *n, int64_t *ret_exp)
{
    const ScValue *v = &g->value[n->first];
    const ScBlob *blob = sc_attr(n, 0)->blob;
    *ret_exp = 0;
    if (v->exp && !sc_term_const(v->exp, ret_exp))
        return sc_fail(m->cx, n->loc, SC_E_LOWER, "a constant with a symbolic exponent");
    if (!sc_type_const_dims(v->type, NULL))
        return sc_fail(m->cx, n->loc, SC_E_LOWER, "a constant with a symbolic shape");
    if (!blob->data && blob->count)
        return sc_fail(m->cx, n->loc, SC_E_BLOB, "@%s", blob->name);
    return true;
}

bool cg_const_tensor(CgModule *m, const ScGraph *g, const ScNode *n, ScrtTensor *ret)
{
    int64_t exp;
    const ScBlob *blob = sc_attr(n, 0)->blob;
    if (!cg_const_check(m, g, n, &exp))
        return false;
    if (!sc_blob_tensor(blob, sc_type_of(g, n->first), exp, ret))
        return sc_fail(m->cx, n->loc, SC_E_LOWER, "a constant: not enough memory");
    sc_blob_forget(m->cx, blob);
    return true;
}

/* --- Emission -------------------------------------------------------------------------------- */

bool cg_optimize(CgModule *m)
{
#ifdef SC_DEBUG
    char *message = NULL;
    if (LLVMVerifyModule(m->mod, LLVMReturnStatusAction, &message)) {
        sc_fail(m->cx, NULL, SC_E_LLVM, "%s", message);
        LLVMDisposeMessage(message);
        return false;
    }
    LLVMDisposeMessage(message);
#endif
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef e = LLVMRunPasses(m->mod, pass_list, m->tm, options);
    LLVMDisposePassBuilderOptions(options);
    if (!e)
        return true;
    char *text = LLVMGetErrorMessage(e);
    sc_fail(m->cx, NULL, SC_E_LLVM, "%s", text);
    LLVMDisposeErrorMessage(text);
    return false;
}

static bool copy_out(ScArena *a, const char *p, size_t n, void **ret, size_t *ret_n)
{
    char *copy = sc_alloc(a, n + 1);
    memcpy(copy, p, n);
    copy[n] = '\0';
    *ret = copy;
    *ret_n = n;
    return true;
}

bool cg_emit_module(CgModule *m, ScEmit emit, ScArena *a, void **ret, size_t *ret_n)
{
    if (emit == SC_EMIT_LLVM) {
        char *text = LLVMPrintModuleToString(m->mod);
        bool ok = copy_out(a, text, strlen(text), ret, ret_n);
        LLVMDisposeMessage(text);
        return ok;
    }
    char *message = NULL;
    LLVMMemoryBufferRef buf = NULL;
    LLVMCodeGenFileType kind = emit == SC_EMIT_OBJ ? LLVMObjectFile : LLVMAssemblyFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(m->tm, m->mod, kind, &message, &buf)) {
        sc_fail(m->cx, NULL, SC_E_LLVM, "%s", message);
        LLVMDisposeMessage(message);
        return false;
    }
    bool ok = copy_out(a, LLVMGetBufferStart(buf), LLVMGetBufferSize(buf), ret, ret_n);
    LLVMDisposeMemoryBuffer(buf);
    return ok;
}
