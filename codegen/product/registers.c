/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles in tile registers (AMX): eight of up to 16 rows of 64 bytes. A tile of the product is two
 * of them high and two wide, so that four loads feed four products:
 *
 *   0 .. 3   C, f32 [rows][16]: tile (i, j) is 2 i + j
 *   4, 5     A, [rows][32] bf16: rows of A as they lie
 *   6, 7     B, [16][16] pairs: 16 rows of pairs of a panel, as they lie
 *
 * A product of two takes 32 neighbours in k: even and odd ones are added up apart, from zero, then
 * both sums and C. So sums depend on where chunks of k begin, multiples of 32, and on nothing else.
 *
 * The registers are named, not allocated: the configuration is constant in a kernel, is loaded once
 * by each run of its body (cg_registers_begin) and given back at the end; no emitted function saves
 * or uses them otherwise, and none is called between that is not emitted.
 *
 * Where the options bring functions that model the registers those are called, and all else is the
 * same: so tests run on processors that have none. */
#include "codegen/product/product.h"

#include <string.h>

enum {
    ROWS = 16,         /* of a register at most */
    ROW_BYTES = 64,    /* of a register at most */
    LOW_CLOCKS = 2048, /* of fma, below which loading the configuration would show */
    CONFIG_BYTES = 64, /* of the configuration: palette, then bytes of a row from 16 on and */
    CONFIG_COLS = 16,  /* rows from 48 on */
    CONFIG_ROWS = 48,
    N_REGISTER = 8,
    TILE_A = 4,
    TILE_B = 6,
    LINES = 8, /* that a step asks memory for */
};

/* --- Whether, and how large ------------------------------------------------------------------ */

/* Extents of which nothing is known count as large. In registers that tests model all is made that
 * can be. */
bool cg_registers_pay(const CgTarget *target, int64_t rows, int64_t cols, int64_t depth)
{
    if (target->tiles)
        return true;
    const double known = (double)(rows < 0 ? ROWS : rows) * (double)(cols < 0 ? ROWS : cols);
    if (rows >= 0 && rows < ROWS)
        return false;
    return rows < 0 || cols < 0 || depth < 0 ||
           known * (double)depth >= (double)LOW_CLOCKS * 2 * ROWS;
}

/* Rows evened out over the registers, of which a tile has two, or one where that holds all. */
void cg_registers_shape(int64_t rows, int64_t usual, int64_t cols, CgTile *t)
{
    int64_t n = usual > 0 ? (usual + ROWS - 1) / ROWS : 0;
    t->nv = cols >= 0 && cols <= t->w ? 1 : 2;
    t->nr = t->nv * t->w;
    t->last = t->w;
    t->high = n ? (uint32_t)((usual + n - 1) / n) : ROWS;
    t->mr = n == 1 ? t->high : 2 * t->high;
    int64_t left = rows < 0 ? -1 : rows % t->mr;
    t->exact = left == 0 || left == t->high;
    t->low = left == 0 || t->mr == t->high ? 0 : t->high;
}

/* --- Instructions ---------------------------------------------------------------------------- */

typedef enum Insn { CONFIG, RELEASE, ZERO, LOAD, STORE, DOT } Insn;

static uintptr_t model_of(const ScTileModel *m, Insn insn)
{
    switch (insn) {
    case CONFIG:
        return (uintptr_t)m->config;
    case RELEASE:
        return (uintptr_t)m->release;
    case ZERO:
        return (uintptr_t)m->zero;
    case LOAD:
        return (uintptr_t)m->load;
    case STORE:
        return (uintptr_t)m->store;
    default:
        return (uintptr_t)m->dot;
    }
}

/* A call of the function that stands for the instruction: registers are numbers of 64 bits. */
static void call_model(Cg *cg, Insn insn, uint32_t n, LLVMValueRef *arg)
{
    LLVMTypeRef type[3];
    for (uint32_t i = 0; i < n; i++) {
        if (LLVMTypeOf(arg[i]) == cg->m->i8)
            arg[i] = LLVMBuildZExt(cg->b, arg[i], cg->m->i64, "");
        type[i] = LLVMTypeOf(arg[i]);
    }
    uintptr_t fn = model_of(cg->m->target.tiles, insn);
    LLVMValueRef at = LLVMConstIntToPtr(cg_int(cg, (int64_t)fn), cg->m->t_ptr);
    LLVMBuildCall2(cg->b, LLVMFunctionType(cg->m->t_void, type, n, 0), at, arg, n, "");
}

static void emit(Cg *cg, Insn insn, uint32_t n, LLVMValueRef *arg)
{
    static const char *const name[] = {
        [CONFIG] = "llvm.x86.ldtilecfg",   [RELEASE] = "llvm.x86.tilerelease",
        [ZERO] = "llvm.x86.tilezero",      [LOAD] = "llvm.x86.tileloadd64",
        [STORE] = "llvm.x86.tilestored64", [DOT] = "llvm.x86.tdpbf16ps",
    };
    if (cg->m->target.tiles)
        call_model(cg, insn, n, arg);
    else
        cg_intrinsic(cg, name[insn], 0, NULL, n, arg);
}

static LLVMValueRef number(Cg *cg, uint32_t tile)
{
    return LLVMConstInt(cg->m->i8, tile, 0);
}

/* Moves a register from memory or to it, whose rows lie `pitch` bytes apart. */
static void move(Cg *cg, Insn insn, uint32_t tile, LLVMValueRef ptr, uint32_t pitch)
{
    emit(cg, insn, 3, (LLVMValueRef[]){number(cg, tile), ptr, cg_int(cg, pitch)});
}

/* --- The configuration ----------------------------------------------------------------------- */

static LLVMValueRef configuration(CgModule *m, const CgTile *t)
{
    const char *name = sc_printf(m->arena, "registers_%u", t->high);
    LLVMValueRef g = LLVMGetNamedGlobal(m->mod, name);
    if (g)
        return g;
    unsigned char byte[CONFIG_BYTES] = {1}; /* the palette */
    LLVMValueRef x[CONFIG_BYTES];
    for (uint32_t i = 0; i < N_REGISTER; i++) {
        byte[CONFIG_COLS + 2 * i] = ROW_BYTES;
        byte[CONFIG_ROWS + i] = (unsigned char)(i < TILE_B ? t->high : ROWS);
    }
    for (uint32_t i = 0; i < CONFIG_BYTES; i++)
        x[i] = LLVMConstInt(m->i8, byte[i], 0);
    g = LLVMAddGlobal(m->mod, LLVMArrayType2(m->i8, CONFIG_BYTES), name);
    LLVMSetInitializer(g, LLVMConstArray2(m->i8, x, CONFIG_BYTES));
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetAlignment(g, CONFIG_BYTES);
    return g;
}

void cg_registers_begin(Cg *cg, const CgTile *t)
{
    if (t->micro->registers)
        emit(cg, CONFIG, 1, (LLVMValueRef[]){configuration(cg->m, t)});
}

void cg_registers_end(Cg *cg, const CgTile *t)
{
    if (t->micro->registers)
        emit(cg, RELEASE, 0, NULL);
}

/* --- The tile -------------------------------------------------------------------------------- */

/* Bytes between row i * high, vector j of C and its beginning. */
static LLVMValueRef c_at(Cg *cg, const CgTile *t, const CgTileArgs *x, uint32_t i, uint32_t j)
{
    return cg_gep(cg, t->el, x->c, cg_int(cg, (int64_t)i * t->high * t->nr + (int64_t)j * t->w));
}

/* k is a multiple of the step. */
static void step(Cg *cg, const CgTile *t, uint32_t n, const CgTileArgs *x, LLVMValueRef k)
{
    LLVMValueRef a = cg_gep(cg, t->a.type, x->a, k);
    LLVMValueRef b = cg_gep(cg, t->b.type, x->b, cg_mul_int(cg, k, cg_int(cg, t->nr)));
    for (uint32_t i = 0; i < LINES; i++) {
        LLVMValueRef row = cg_add_int(cg, k, cg_int(cg, (int64_t)i * t->deep / LINES));
        row = LLVMBuildMul(cg->b, row, x->step, "");
        cg_prefetch(cg, cg_gep(cg, cg->m->i8, x->next, row), 2);
    }
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef rows = cg_gep(cg, t->a.type, a, cg_int(cg, (int64_t)i * t->high * t->ks));
        move(cg, LOAD, TILE_A + i, rows, t->ks * t->a.size);
        for (uint32_t j = 0; j < t->nv; j++) {
            LLVMValueRef pairs = cg_gep(cg, t->b.type, b, cg_int(cg, (int64_t)j * t->w * t->ku));
            if (i == 0)
                move(cg, LOAD, TILE_B + j, pairs, t->nr * t->ku * t->b.size);
            emit(cg, DOT, 3,
                 (LLVMValueRef[]){number(cg, 2 * i + j), number(cg, TILE_A + i),
                                  number(cg, TILE_B + j)});
        }
    }
}

void cg_registers_tile(Cg *cg, const CgTile *t, uint32_t mr, const CgTileArgs *x)
{
    uint32_t n = mr / t->high;
    CgIf first = cg_if(cg, x->first);
    for (uint32_t i = 0; i < n * t->nv; i++)
        emit(cg, ZERO, 1, (LLVMValueRef[]){number(cg, i / t->nv * 2 + i % t->nv)});
    cg_else(cg, &first);
    for (uint32_t i = 0; i < n * t->nv; i++)
        move(cg, LOAD, i / t->nv * 2 + i % t->nv, c_at(cg, t, x, i / t->nv, i % t->nv),
             t->nr * t->size);
    cg_endif(cg, &first);
    CgLoop k = cg_for(cg, cg_int(cg, 0), x->k, cg_int(cg, t->deep));
    step(cg, t, n, x, k.i);
    cg_next(cg, &k);
    for (uint32_t i = 0; i < n * t->nv; i++)
        move(cg, STORE, i / t->nv * 2 + i % t->nv, c_at(cg, t, x, i / t->nv, i % t->nv),
             t->nr * t->size);
}
