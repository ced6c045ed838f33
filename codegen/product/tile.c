/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile and the loop over tiles.
 *
 * A thread holds a block of rows of A as compute numbers in its scratch and visits the panels of B:
 * each panel is made (decoded, gathered) once a block, kc rows at a time, small enough for L1, and
 * multiplied by tiles of mr rows whose sums stay in registers. Between chunks the sums rest in C,
 * from which the epilogue then reads. The sum over k runs upward in one chain for each element,
 * however the tiles are cut, so results depend neither on the threads nor on the place. */
#include "codegen/product/product.h"

#include <string.h>

/* --- Choosing -------------------------------------------------------------------------------- */

static int64_t const_or(const ScTerm *t, int64_t otherwise)
{
    int64_t c;
    return t && sc_term_const(t, &c) ? c : otherwise;
}

enum { SYMBOLS = 8 };
typedef struct Ones { /* symbols of a term, each of them 1 */
    ScBinding env[SYMBOLS];
    uint32_t n;
} Ones;

static void see_symbol(void *arg, const char *sym)
{
    Ones *o = arg;
    if (o->n < SYMBOLS)
        o->env[o->n++] = (ScBinding){sym, 1};
}

/* The rows where every symbol is 1: most often those of one image; -1 where nobody knows. */
static int64_t usual_rows(const ScTerm *rows)
{
    Ones o = {0};
    int64_t n;
    if (!rows)
        return -1;
    sc_term_symbols(rows, see_symbol, &o);
    return sc_term_eval(rows, o.n, o.env, &n) ? n : -1;
}

/* Rows of a tile of nv vectors: as many as registers hold, evened out over the rows there are. A
 * number of which nothing is known is most often a power of two. */
static uint32_t tile_rows(const CgTarget *t, uint32_t nv, int64_t rows)
{
    uint32_t most = (t->n_reg - nv - 2) / nv; /* a row of B, a broadcast, a product */
    if (rows < 0) {
        uint32_t p = 1;
        while (2 * p <= most)
            p *= 2;
        return p * nv >= 16 ? p : most;
    }
    if (rows <= most)
        return rows ? (uint32_t)rows : 1;
    int64_t tiles = (rows + most - 1) / most;
    return (uint32_t)((rows + tiles - 1) / tiles);
}

/* What the whole takes, for each step of k. */
typedef struct Cost {
    double clocks; /* in instructions, two of which may start at once */
    double loads;
} Cost;

static Cost tile_cost(uint32_t nv, uint32_t mr, uint32_t w, int64_t rows, int64_t cols)
{
    uint32_t macs = mr * nv, loads = mr + nv, latency = 8;
    double step = macs > loads ? macs : loads;
    int64_t n_tile = (rows + mr - 1) / mr, width = (int64_t)nv * w,
            n_panel = (cols + width - 1) / width;
    double tiles = rows < 0 ? 1.0 / mr : (double)n_tile;
    double panels = cols < 0 ? 1.0 / (double)width : (double)n_panel;
    return (Cost){(step > latency ? step : latency) * tiles * panels, loads * tiles * panels};
}

static void choose(const CgTarget *t, int64_t rows, int64_t cols, bool nv_pow2, CgTile *ret)
{
    Cost best = {0};
    for (uint32_t nv = 1; nv <= (nv_pow2 ? t->tile_nv : 3); nv++) {
        uint32_t mr = tile_rows(t, nv, rows);
        Cost c = tile_cost(nv, mr, ret->w, rows, cols);
        bool same = c.clocks == best.clocks;
        if (nv == 1 || c.clocks < best.clocks || (same && c.loads < best.loads)) {
            best = c;
            ret->nv = nv;
            ret->mr = mr;
        }
    }
}

/* Where one panel holds all columns its last vector need not be wider than they are: on targets
 * that add up 512 bits in two halves this saves time, elsewhere it costs none. */
static uint32_t last_lanes(const CgTarget *target, const CgTile *t, int64_t cols)
{
    uint32_t n = 16 / t->size;
    if (cols > t->nr || target->vec_bits < 512)
        return t->w;
    while (n < t->w && (t->nv - 1) * t->w + n < cols)
        n *= 2;
    return n < t->w ? n : t->w;
}

/* Rows of A: room for a vector of zeros after the row; an odd number of lines, so that the rows of
 * a tile do not fall into one set of the cache. */
void cg_tile_chunk(CgTile *t, uint32_t whole)
{
    uint32_t line = 64 / t->size;
    t->kc = cg_round_up(t->kc, whole);
    t->ks = (((t->kc + line - 1) / line + 1) | 1) * line;
}

void cg_tile_init(CgModule *m, ScrtDtype result, const ScTerm *rows, const ScTerm *cols,
                  const ScTerm *depth, bool nv_pow2, CgTile *ret)
{
    const CgTarget *t = &m->target;
    memset(ret, 0, sizeof *ret);
    ret->el = cg_compute_type(m, result);
    uint32_t bits = scrt_dtype_bits(result);
    ret->size = scrt_dtype_is_float(result) && bits < 32 ? 4 : bits / 8;
    ret->w = ret->size > 4 ? t->w / 2 : t->w;

    int64_t n_row = const_or(rows, -1), n_k = const_or(depth, -1);
    int64_t usual = usual_rows(rows);
    bool many = n_row >= 0 || usual > t->n_reg; /* else a tile for them would be too low for more */
    choose(t, many ? usual : -1, const_or(cols, -1), nv_pow2, ret);
    ret->nr = ret->nv * ret->w;
    ret->last = last_lanes(t, ret, const_or(cols, INT64_MAX));
    ret->exact = n_row >= 0;
    ret->low = many ? (uint32_t)(usual % ret->mr) : 0;
    if (!ret->exact && !ret->low)
        ret->low = ret->mr / 2;

    uint32_t kc = t->kc;
    if (n_k >= 0) {
        int64_t chunks = (n_k + kc - 1) / kc;
        kc = chunks ? (uint32_t)((n_k + chunks - 1) / chunks) : 1;
    }
    ret->kc = kc;
    cg_tile_chunk(ret, 4);

    uint32_t block = CG_TILE_ROWS / ret->mr * ret->mr;
    if (n_row >= 0 && n_row < block)
        block = cg_round_up((uint32_t)n_row, ret->mr);
    while (block > ret->mr && n_k > 0 &&
           (double)block * (double)n_k * ret->size > 2.0 * t->cache_l2)
        block -= ret->mr;
    ret->rows = block > ret->mr ? block : ret->mr;
}

/* --- The tile -------------------------------------------------------------------------------- */

LLVMValueRef cg_tile_mac(Cg *cg, const CgTile *t, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    if (LLVMGetTypeKind(t->el) != LLVMIntegerTypeKind)
        return cg_fma(cg, a, b, acc);
    return LLVMBuildAdd(cg->b, acc, LLVMBuildMul(cg->b, a, b, ""), "");
}

static LLVMValueRef load(Cg *cg, LLVMTypeRef t, LLVMValueRef ptr, uint32_t align)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, t, ptr, "");
    LLVMSetAlignment(x, align);
    return x;
}

static void store(Cg *cg, LLVMValueRef x, LLVMValueRef ptr, uint32_t align)
{
    LLVMSetAlignment(LLVMBuildStore(cg->b, x, ptr), align);
}

enum { P_A, P_B, P_C, P_K, P_FIRST, P_OFF, P_NEXT, P_STEP, N_PARAM };

static LLVMTypeRef tile_type(CgModule *m)
{
    LLVMTypeRef p[N_PARAM] = {m->t_ptr, m->t_ptr, m->t_ptr, m->i64,
                              m->i1,    m->t_ptr, m->t_ptr, m->i64};
    return LLVMFunctionType(m->t_void, p, N_PARAM, 0);
}

/* Lanes of vector j of a row: the last may be narrower. */
static uint32_t lanes(const CgTile *t, uint32_t j)
{
    return j + 1 == t->nv ? t->last : t->w;
}

/* One step of k: acc[mr][nv] += a[.][k] * b[k][.] */
static void tile_step(Cg *cg, const CgTile *t, uint32_t mr, bool offsets, LLVMValueRef k,
                      LLVMValueRef *acc)
{
    LLVMValueRef at = cg_mul_int(cg, k, cg_int(cg, t->nr)), b[4];
    if (offsets)
        at = load(cg, cg->m->i64, cg_gep(cg, cg->m->i64, LLVMGetParam(cg->fn, P_OFF), k), 8);
    LLVMValueRef row = cg_gep(cg, t->el, LLVMGetParam(cg->fn, P_B), at);
    for (uint32_t j = 0; j < t->nv; j++)
        b[j] = load(cg, cg_vec(t->el, lanes(t, j)), cg_gep(cg, t->el, row, cg_int(cg, j * t->w)),
                    offsets ? t->size : t->size * lanes(t, j));
    LLVMValueRef ahead = LLVMBuildMul(cg->b, k, LLVMGetParam(cg->fn, P_STEP), "");
    cg_prefetch(cg, cg_gep(cg, cg->m->i8, LLVMGetParam(cg->fn, P_NEXT), ahead), 2);
    LLVMValueRef col = cg_gep(cg, t->el, LLVMGetParam(cg->fn, P_A), k);
    for (uint32_t r = 0; r < mr; r++) {
        LLVMValueRef a =
            load(cg, t->el, cg_gep(cg, t->el, col, cg_int(cg, (int64_t)r * t->ks)), t->size);
        for (uint32_t j = 0; j < t->nv; j++) {
            LLVMValueRef *x = &acc[r * t->nv + j];
            LLVMTypeRef vec = cg_vec(t->el, lanes(t, j));
            LLVMValueRef splat = cg_splat(cg, a, lanes(t, j));
            cg_set(cg, *x, cg_tile_mac(cg, t, splat, b[j], cg_get(cg, vec, *x)));
        }
    }
}

/* The sums of row i / nv, vector i % nv: from C, or to it. */
static void move_sum(Cg *cg, const CgTile *t, uint32_t i, LLVMValueRef var, bool to_c)
{
    uint32_t j = i % t->nv, align = t->size * lanes(t, j);
    LLVMTypeRef vec = cg_vec(t->el, lanes(t, j));
    LLVMValueRef at = cg_int(cg, (int64_t)(i / t->nv) * t->nr + j * t->w);
    LLVMValueRef ptr = cg_gep(cg, t->el, LLVMGetParam(cg->fn, P_C), at);
    if (to_c)
        store(cg, cg_get(cg, vec, var), ptr, align);
    else
        cg_set(cg, var, load(cg, vec, ptr, align));
}

LLVMValueRef cg_tile_fn(CgModule *m, const CgTile *t, uint32_t mr, bool offsets)
{
    char *el = LLVMPrintTypeToString(t->el);
    const char *name = sc_printf(m->arena, "tile_%s_%ux%u_%u_%u%s", el, mr, t->nr, t->last, t->ks,
                                 offsets ? "_offsets" : "");
    LLVMDisposeMessage(el);
    LLVMValueRef fn = LLVMGetNamedFunction(m->mod, name);
    if (fn)
        return fn;

    Cg cg;
    fn = cg_begin_fn(&cg, m, NULL, name, tile_type(m));
    LLVMValueRef acc[64];
    uint32_t n = mr * t->nv;
    for (uint32_t i = 0; i < n; i++) {
        LLVMTypeRef vec = cg_vec(t->el, lanes(t, i % t->nv));
        acc[i] = cg_var(&cg, vec, LLVMConstNull(vec));
    }
    CgIf more = cg_if(&cg, LLVMBuildNot(cg.b, LLVMGetParam(fn, P_FIRST), ""));
    for (uint32_t i = 0; i < n; i++)
        move_sum(&cg, t, i, acc[i], false);
    cg_endif(&cg, &more);
    CgLoop k = cg_for(&cg, cg_int(&cg, 0), LLVMGetParam(fn, P_K), cg_int(&cg, 1));
    tile_step(&cg, t, mr, offsets, k.i, acc);
    cg_next(&cg, &k);
    for (uint32_t i = 0; i < n; i++)
        move_sum(&cg, t, i, acc[i], true);
    cg_end_fn(&cg);
    return fn;
}

void cg_tile_call(Cg *cg, const CgTile *t, uint32_t mr, LLVMValueRef a, LLVMValueRef b,
                  LLVMValueRef c, LLVMValueRef k, LLVMValueRef first, LLVMValueRef next,
                  LLVMValueRef step)
{
    LLVMValueRef arg[N_PARAM] = {
        [P_A] = a,
        [P_B] = b,
        [P_C] = c,
        [P_K] = k,
        [P_FIRST] = first,
        [P_OFF] = LLVMConstNull(cg->m->t_ptr),
        [P_NEXT] = next ? next : b,
        [P_STEP] = next ? step : cg_int(cg, 0),
    };
    LLVMBuildCall2(cg->b, tile_type(cg->m), cg_tile_fn(cg->m, t, mr, false), arg, N_PARAM, "");
}

CgAhead cg_ahead(Cg *cg, const CgTile *t, LLVMValueRef n_row, LLVMValueRef n_k, LLVMValueRef next,
                 LLVMValueRef row)
{
    LLVMValueRef tiles = cg_cdiv_int(cg, n_row, cg_int(cg, t->mr));
    LLVMValueRef step = LLVMBuildUDiv(cg->b, row, tiles, "");
    return (CgAhead){next, step, cg_mul_int(cg, step, n_k)};
}

LLVMValueRef cg_ahead_at(Cg *cg, const CgTile *t, const CgAhead *a, LLVMValueRef i)
{
    LLVMValueRef tile = LLVMBuildUDiv(cg->b, i, cg_int(cg, t->mr), "");
    return cg_gep(cg, cg->m->i8, a->next, cg_mul_int(cg, tile, a->share));
}

/* --- The loop over tiles --------------------------------------------------------------------- */

/* i64: of the pool. */
static LLVMValueRef threads(Cg *cg)
{
    CgModule *m = cg->m;
    LLVMValueRef at = cg_gep(cg, m->t_ptr, cg->args, cg_int(cg, CG_ARG_CALL));
    LLVMValueRef call = LLVMBuildLoad2(cg->b, m->t_ptr, at, "");
    LLVMValueRef n = cg_gep(cg, m->i8, call, cg_int(cg, offsetof(ScrtCall, n_thread)));
    return LLVMBuildZExt(cg->b, LLVMBuildLoad2(cg->b, m->i32, n, ""), m->i64, "");
}

LLVMValueRef cg_grain(Cg *cg, LLVMValueRef clocks)
{
    return cg_cdiv_int(cg, cg_int(cg, 20000), cg_max_int(cg, clocks, cg_int(cg, 1)));
}

typedef struct Copy {
    const CgTile *t;
    const CgAccess *a;
    LLVMValueRef address, dst;
    const ScTerm *stride;
} Copy;

static void copy_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Copy *c = arg;
    LLVMValueRef at = cg_add_int(cg, c->address, cg_mul_int(cg, i, cg_term(cg, c->stride)));
    CgVal x = cg_access_load(cg, c->a, at, c->stride, w, mask);
    /* Lanes outside the mask are zeros, and there is room for them. */
    store(cg, x.v, cg_gep(cg, c->t->el, c->dst, i), c->t->size);
}

void cg_row_copy(Cg *cg, const CgTile *t, const CgAccess *a, LLVMValueRef address,
                 const ScTerm *stride, LLVMValueRef n, LLVMValueRef dst)
{
    LLVMValueRef w = cg_int(cg, t->w);
    LLVMValueRef whole = LLVMBuildSub(cg->b, n, LLVMBuildURem(cg->b, n, w, ""), "");
    store(cg, LLVMConstNull(cg_vec(t->el, t->w)), cg_gep(cg, t->el, dst, whole), t->size);
    Copy c = {t, a, address, dst, stride};
    cg_lanes(cg, cg_int(cg, 0), n, t->w, copy_lanes, &c);
}

typedef struct Finish {
    const CgTile *t;
    const CgEpi *epi;
    const CgEpiRow *row;
    LLVMValueRef acc, begin, first;
} Finish;

static void finish_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Finish *f = arg;
    LLVMTypeRef el = f->t->el;
    LLVMValueRef column = cg_add_int(cg, f->first, i);
    LLVMValueRef at = cg_gep(cg, el, f->acc, LLVMBuildSub(cg->b, i, f->begin, ""));
    LLVMValueRef x = load(cg, cg_vec(el, w), at, f->t->size);
    x = cg_epi_add_bias(cg, f->epi, f->row, column, x, w, mask);
    cg_epi_store(cg, f->epi, f->row, column, x, w, mask);
}

void cg_finish_row(Cg *cg, const CgTile *t, const CgEpi *epi, const CgEpiRow *row, LLVMValueRef acc,
                   LLVMValueRef begin, LLVMValueRef from, LLVMValueRef to, LLVMValueRef first)
{
    Finish f = {t, epi, row, acc, begin, first};
    cg_lanes(cg, from, to, t->w, finish_lanes, &f);
}

/* How the problem is cut: known to the entry and to the body, from the same numbers. */
typedef struct Cut {
    LLVMValueRef rows, cols, depth, inner;
    LLVMValueRef panels, block, blocks, chunks, items;
} Cut;

/* Blocks of rows, as even as tiles allow: one, unless there are too few panels for the threads or
 * too many rows for the scratch; a low one would wait for the panels. The number of threads changes
 * who computes an element, not how. */
static Cut cut_job(Cg *cg, const CgJob *j)
{
    const CgTile *t = &j->tile;
    LLVMValueRef one = cg_int(cg, 1), mr = cg_int(cg, t->mr), outer = cg_term(cg, j->outer);
    Cut c = {.rows = cg_term(cg, j->rows),
             .cols = cg_term(cg, j->cols),
             .depth = cg_term(cg, j->depth),
             .inner = cg_term(cg, j->inner)};
    c.panels = cg_cdiv_int(cg, c.cols, cg_int(cg, t->nr));
    c.chunks = cg_max_int(cg, cg_cdiv_int(cg, c.depth, cg_int(cg, t->kc)), one);
    LLVMValueRef others = cg_mul_int(cg, cg_mul_int(cg, outer, c.inner), c.panels);
    LLVMValueRef want = cg_cdiv_int(cg, threads(cg), cg_max_int(cg, others, one));
    LLVMValueRef least = cg_cdiv_int(cg, c.rows, cg_int(cg, t->rows)); /* blocks */
    want = cg_max_int(cg, cg_max_int(cg, want, least), one);
    LLVMValueRef rows = cg_max_int(cg, cg_cdiv_int(cg, c.rows, want), one);
    c.block = cg_mul_int(cg, cg_cdiv_int(cg, rows, mr), mr);
    c.blocks = cg_cdiv_int(cg, c.rows, c.block);
    c.items = cg_mul_int(cg, others, c.blocks);
    return c;
}

/* Rows that a block holds at most: the tile's, or all there are where those are fewer. */
static const ScTerm *block_rows(CgModule *m, const CgJob *j)
{
    ScCtx *cx = m->cx;
    const ScTerm *mr = sc_term(cx, j->tile.mr), *one = sc_term(cx, 1);
    const ScTerm *all = sc_term_mul(cx, sc_term_cdiv(cx, sc_term_max(cx, j->rows, one), mr), mr);
    return sc_term_min(cx, all, sc_term(cx, j->tile.rows));
}

/* Elements between two chunks of A. */
static const ScTerm *chunk_stride(CgModule *m, const CgJob *j)
{
    return sc_term_scale(m->cx, block_rows(m, j), j->tile.ks);
}

static const ScTerm *chunk_elements(CgModule *m, const CgJob *j)
{
    const ScTerm *one = sc_term(m->cx, 1);
    const ScTerm *chunks =
        sc_term_cdiv(m->cx, sc_term_max(m->cx, j->depth, one), sc_term(m->cx, j->tile.kc));
    return sc_term_mul(m->cx, chunks, chunk_stride(m, j));
}

/* Scratch of a thread: A, C, the panel of B, the class's own. */
static const ScTerm *scratch_at(CgModule *m, const CgJob *j, int part)
{
    ScCtx *cx = m->cx;
    const ScTerm *at = sc_term(cx, 0);
    if (part > 0)
        at = cg_round64(m, sc_term_scale(cx, chunk_elements(m, j), j->tile.size));
    if (part > 1)
        at = sc_term_add(
            cx, at,
            cg_round64(m, sc_term_scale(cx, block_rows(m, j), (int64_t)j->tile.nr * j->tile.size)));
    if (part > 2 && j->b_bytes)
        at = sc_term_add(cx, at, cg_round64(m, j->b_bytes));
    if (part > 3 && j->extra_bytes)
        at = sc_term_add(cx, at, cg_round64(m, j->extra_bytes));
    return at;
}

const ScTerm *cg_job_scratch(CgModule *m, const CgJob *j)
{
    return scratch_at(m, j, 4);
}

/* The block's rows of A, chunk by chunk, and zeros for the rows that a whole tile reads beyond. */
static void fill_a(Cg *cg, const CgJob *j, const Cut *c, CgAt *at)
{
    const CgTile *t = &j->tile;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), kc = cg_int(cg, t->kc);
    LLVMTypeRef vec = cg_vec(t->el, t->w);
    CgLoop chunk = cg_for(cg, zero, c->chunks, one);
    at->k0 = cg_mul_int(cg, chunk.i, kc);
    at->n_k = cg_min_int(cg, kc, LLVMBuildSub(cg->b, c->depth, at->k0, ""));
    LLVMValueRef base = cg_mul_int(cg, chunk.i, cg_term(cg, chunk_stride(cg->m, j)));
    base = cg_gep(cg, t->el, at->a, base);
    CgLoop row = cg_for(cg, zero, at->n_row, one);
    LLVMValueRef dst = cg_gep(cg, t->el, base, cg_mul_int(cg, row.i, cg_int(cg, t->ks)));
    j->a_row(cg, j, at, cg_add_int(cg, at->row0, row.i), dst);
    cg_next(cg, &row);
    if (!t->exact) {
        LLVMValueRef mr = cg_int(cg, t->mr);
        LLVMValueRef upto = cg_mul_int(cg, cg_cdiv_int(cg, at->n_row, mr), mr);
        CgLoop pad = cg_for(cg, at->n_row, upto, one);
        dst = cg_gep(cg, t->el, base, cg_mul_int(cg, pad.i, cg_int(cg, t->ks)));
        CgLoop k = cg_for(cg, zero, at->n_k, cg_int(cg, t->w));
        store(cg, LLVMConstNull(vec), cg_gep(cg, t->el, dst, k.i), t->size);
        cg_next(cg, &k);
        cg_next(cg, &pad);
    }
    cg_next(cg, &chunk);
}

static void call_tile(Cg *cg, const CgJob *j, uint32_t mr, LLVMValueRef const arg[N_PARAM])
{
    LLVMValueRef fn = cg_tile_fn(cg->m, &j->tile, mr, j->offsets), a[N_PARAM];
    memcpy(a, arg, sizeof a);
    LLVMBuildCall2(cg->b, tile_type(cg->m), fn, a, N_PARAM, "");
}

/* All tiles of one chunk: the tall ones, then what is left. Each of them asks memory for its share
 * of the next chunk, so that reading and multiplying overlap. */
static void chunk_tiles(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef chunk)
{
    const CgTile *t = &j->tile;
    LLVMValueRef zero = cg_int(cg, 0), arg[N_PARAM], off = LLVMConstNull(cg->m->t_ptr);
    LLVMValueRef b = j->panel(cg, j, at, &off);
    CgAhead ahead = {b, zero, zero};
    if (j->ahead) {
        LLVMValueRef next, row = j->ahead(cg, j, at, &next);
        ahead = cg_ahead(cg, t, at->n_row, at->n_k, next, row);
    }
    LLVMValueRef base = cg_mul_int(cg, chunk, cg_term(cg, chunk_stride(cg->m, j)));
    CgLoop r = cg_for(cg, zero, at->n_row, cg_int(cg, t->mr));
    arg[P_A] =
        cg_gep(cg, t->el, at->a, cg_add_int(cg, base, cg_mul_int(cg, r.i, cg_int(cg, t->ks))));
    arg[P_B] = b;
    arg[P_C] = cg_gep(cg, t->el, at->c, cg_mul_int(cg, r.i, cg_int(cg, t->nr)));
    arg[P_K] = at->n_k;
    arg[P_FIRST] = LLVMBuildICmp(cg->b, LLVMIntEQ, chunk, zero, "");
    arg[P_OFF] = off;
    arg[P_NEXT] = cg_ahead_at(cg, t, &ahead, r.i);
    arg[P_STEP] = ahead.step;
    if (t->exact && !t->low) {
        call_tile(cg, j, t->mr, arg);
    } else {
        LLVMValueRef left = LLVMBuildSub(cg->b, at->n_row, r.i, "");
        LLVMValueRef low = LLVMBuildICmp(cg->b, LLVMIntSLE, left, cg_int(cg, t->low), "");
        CgIf tail = cg_if(cg, low);
        call_tile(cg, j, t->low ? t->low : t->mr, arg);
        cg_else(cg, &tail);
        call_tile(cg, j, t->mr, arg);
        cg_endif(cg, &tail);
    }
    cg_next(cg, &r);
}

/* Runs what where `now` differs from what it was at the last item. */
static void when_new(Cg *cg, LLVMValueRef var, LLVMValueRef now, CgIf *ret)
{
    LLVMValueRef was = cg_get(cg, cg->m->i64, var);
    *ret = cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntNE, was, now, ""));
    cg_set(cg, var, now);
}

static void job_item(Cg *cg, const CgJob *j, const Cut *c, CgAt *at, LLVMValueRef item,
                     LLVMValueRef seen_block, LLVMValueRef seen_image)
{
    const CgTile *t = &j->tile;
    LLVMBuilderRef b = cg->b;
    LLVMValueRef one = cg_int(cg, 1), zero = cg_int(cg, 0), kc = cg_int(cg, t->kc);
    at->panel = LLVMBuildURem(b, item, c->panels, "");
    LLVMValueRef image = LLVMBuildUDiv(b, item, c->panels, "");
    at->inner = LLVMBuildURem(b, image, c->inner, "");
    LLVMValueRef block = LLVMBuildUDiv(b, image, c->inner, "");
    at->row0 = cg_mul_int(cg, LLVMBuildURem(b, block, c->blocks, ""), c->block);
    at->outer = LLVMBuildUDiv(b, block, c->blocks, "");
    at->n_row = cg_min_int(cg, c->block, LLVMBuildSub(b, c->rows, at->row0, ""));
    at->col0 = cg_mul_int(cg, at->panel, cg_int(cg, t->nr));
    at->col1 = cg_min_int(cg, cg_add_int(cg, at->col0, cg_int(cg, t->nr)), c->cols);

    CgIf fresh;
    when_new(cg, seen_block, block, &fresh);
    fill_a(cg, j, c, at);
    cg_endif(cg, &fresh);
    if (j->image) {
        when_new(cg, seen_image, image, &fresh);
        j->image(cg, j, at);
        cg_endif(cg, &fresh);
    }
    CgLoop chunk = cg_for(cg, zero, c->chunks, one);
    at->k0 = cg_mul_int(cg, chunk.i, kc);
    at->n_k = cg_min_int(cg, kc, LLVMBuildSub(b, c->depth, at->k0, ""));
    chunk_tiles(cg, j, at, chunk.i);
    cg_next(cg, &chunk);
    CgLoop row = cg_for(cg, zero, at->n_row, one);
    j->finish(cg, j, at, cg_add_int(cg, at->row0, row.i),
              cg_gep(cg, t->el, at->c, cg_mul_int(cg, row.i, cg_int(cg, t->nr))));
    cg_next(cg, &row);
}

LLVMValueRef cg_job_body(CgModule *m, const CgJob *j)
{
    const CgTile *t = &j->tile;
    cg_tile_fn(m, t, t->mr, j->offsets); /* functions end before the next begins */
    if (t->low)
        cg_tile_fn(m, t, t->low, j->offsets);
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, j->f, "tiles");
    Cut c = cut_job(&cg, j);
    LLVMValueRef s = cg_scratch_thread(&cg), none = cg_int(&cg, -1);
    CgAt at = {.a = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 0))),
               .c = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 1))),
               .b = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 2))),
               .extra = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 3)))};
    LLVMValueRef seen_block = cg_var(&cg, m->i64, none), seen_image = cg_var(&cg, m->i64, none);
    if (j->once)
        j->once(&cg, j, &at);
    CgLoop item = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    job_item(&cg, j, &c, &at, item.i, seen_block, seen_image);
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return fn;
}

void cg_job_run(Cg *cg, const CgJob *j, LLVMValueRef body)
{
    Cut c = cut_job(cg, j);
    LLVMValueRef work = cg_mul_int(cg, cg_mul_int(cg, c.block, c.depth), cg_int(cg, j->tile.nv));
    cg_parallel(cg, body, c.items, cg_grain(cg, work));
}
