/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile: mr rows of A by a panel of B, whose sums stay in registers. */
#include "codegen/product/product.h"

#include <string.h>

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
 * number of which nothing is known is most often a power of two. What is loaded has a register for
 * each vector of B's row and two for broadcasts, at least four: with fewer, LLVM keeps sums of
 * several steps on the stack. Beside more than 16 squares it copies them from register to register.
 */
static uint32_t tile_rows(const CgTarget *t, bool squares, uint32_t nv, int64_t rows)
{
    uint32_t others = squares ? t->n_reg / 2 : nv > 2 ? nv + 2 : 4;
    uint32_t most = (t->n_reg - others) / nv;
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

/* Most vectors of a panel; codes are packed by 32, which a row of three vectors does not fill. */
static uint32_t most_vectors(const CgTarget *t, const CgTypes *types, const CgMicro *micro)
{
    bool plain =
        cg_unit(t, types->stored, types->facts).way == CG_UNIT_PLAIN && micro->way == CG_UNIT_PLAIN;
    return !types->packed || (plain && t->n_reg <= 16) ? 3 : t->tile_nv;
}

static void choose(const CgTarget *t, const CgTypes *types, int64_t rows, int64_t cols, CgTile *ret)
{
    Cost best = {0};
    for (uint32_t nv = 1; nv <= most_vectors(t, types, ret->micro); nv++) {
        uint32_t mr = tile_rows(t, ret->micro->squares, nv, rows);
        Cost c = tile_cost(nv, mr, ret->w, rows, cols);
        double least = nv > 2 ? 0.97 : 1; /* few sums are a short chain to wait for */
        bool same = c.clocks == best.clocks;
        if (nv == 1 || c.clocks < least * best.clocks || (same && c.loads < best.loads)) {
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
    uint32_t line = 64 / t->a.size;
    t->kc = cg_round_up(t->kc, whole > t->deep ? whole : t->deep);
    t->ks = (((t->kc + line - 1) / line + 1) | 1) * line;
}

bool cg_tile_direct(CgTile *t, int64_t pitch)
{
    enum { PAGE = 4096, SAME = 4 }; /* bytes after which sets repeat; rows that may share a set */
    int64_t bytes = pitch * t->a.size, sets = PAGE / (bytes & -bytes);
    if (pitch < 1 || pitch > UINT32_MAX / t->a.size || (sets ? sets : 1) * SAME < t->mr)
        return false;
    t->ks = (uint32_t)pitch;
    return true;
}

void cg_tile_columns(const CgTarget *target, CgTile *t)
{
    enum { NEAR = 24 * 1024 }; /* a chunk's rows in the first cache are read as fast as they are */
    bool near = t->rows * t->ks * t->a.size <= NEAR;
    if (target->n_reg <= 16 && t->mr > 1 && t->w > 1 && !near)
        t->turned = cg_round_up(t->kc, t->w * t->ku);
}

/* w columns at a time, or groups of ku. The last vector of a column reaches into the next one,
 * which is stored after it. */
void cg_tile_turn(Cg *cg, const CgTile *t, LLVMValueRef rows, LLVMValueRef n, LLVMValueRef dst)
{
    const uint32_t size = t->ku * t->a.size;
    LLVMTypeRef el = t->ku > 1 ? LLVMIntTypeInContext(cg->m->ctx, 8 * size) : t->a.type;
    LLVMTypeRef vec = cg_vec(el, t->w);
    LLVMValueRef v[64];
    CgLoop k = cg_for(cg, cg_int(cg, 0), n, cg_int(cg, t->w * t->ku));
    uint32_t groups = (t->mr + t->w - 1) / t->w;
    for (uint32_t g = 0; g < groups; g++) {
        for (uint32_t i = 0; i < t->w; i++) {
            uint32_t r = g * t->w + i;
            LLVMValueRef at = cg_add_int(cg, k.i, cg_int(cg, (int64_t)r * t->ks));
            v[r] = r < t->mr ? load(cg, vec, cg_gep(cg, t->a.type, rows, at), t->a.size)
                             : LLVMGetPoison(vec);
        }
        cg_turn(cg, v + (size_t)g * t->w, t->w);
    }
    LLVMValueRef to = cg_mul_int(cg, k.i, cg_int(cg, t->mr));
    for (uint32_t i = 0; i < t->w * groups; i++) {
        uint32_t column = i / groups, g = i % groups;
        int64_t group = (int64_t)column * t->mr + g * t->w;
        LLVMValueRef at = cg_add_int(cg, to, cg_int(cg, group * t->ku));
        store(cg, v[g * t->w + column], cg_gep(cg, t->a.type, dst, at), t->a.size);
    }
    cg_next(cg, &k);
}

/* --- Panels of a later level --- */

/* What a tile is chosen for: rows and columns, -1 where nobody knows; cols 0: a vector of them. */
typedef struct Want {
    int64_t rows, cols;
    bool large; /* see CgMicro */
} Want;

static void shape(const CgTarget *t, const CgTypes *types, const Want *want, CgTile *ret)
{
    ret->parts = 1;
    ret->lanes = t->w;
    ret->nv = ret->mr = 1;
    if (want->cols)
        choose(t, types, want->rows, want->cols, ret);
    ret->nr = ret->nv * ret->w;
    if (types->wide_units && t->avx2 && ret->w == 8 && ret->nr == 16)
        ret->lanes = 16;
}

/* Whether code for `own`, with the tile t, can read the panels of level `of`, with the tile x. */
static bool can_read(const CgTarget *own, const CgTile *t, const CgTarget *of, const CgTile *x,
                     const CgTypes *types)
{
    CgUnit a = cg_unit(own, types->stored, types->facts);
    CgUnit b = cg_unit(of, types->stored, types->facts);
    if (a.way == CG_UNIT_NIBBLES) /* what is packed for wider vectors it reads as they do */
        a.way = CG_UNIT_PERM;
    return t->micro->way == CG_UNIT_PLAIN && x->micro == t->micro && x->nr % t->w == 0 &&
           x->w > t->w && t->w == own->w && cg_unit_layout(&a) == cg_unit_layout(&b) &&
           a.raised == b.raised && cg_unit_splits(&b);
}

/* Packed panels are stored once for all levels that can read the same: they are those that the last
 * one of them, which has the widest vectors, takes. */
static void share_panels(CgModule *m, const CgTypes *types, const Want *want, CgTile *ret)
{
    CgTarget own = m->target;
    for (uint32_t i = m->n_level; i-- > own.level + 1;) {
        CgTile x;
        m->target = m->levels[i];
        cg_tile_types(m, types, want->large, &x);
        m->target = own;
        shape(&m->levels[i], types, want, &x);
        if (!can_read(&own, ret, &m->levels[i], &x, types))
            continue;
        uint32_t vecs = x.nr / ret->w, most = want->cols ? own.tile_nv : 1;
        ret->nv = vecs < most ? vecs : most;
        ret->mr = want->cols ? tile_rows(&own, false, ret->nv, want->rows) : 1;
        ret->parts = vecs / ret->nv;
        ret->nr = x.nr;
        ret->lanes = x.lanes;
        return;
    }
}

static void choose_panels(CgModule *m, const CgTypes *types, const Want *want, CgTile *ret)
{
    cg_tile_types(m, types, want->large, ret);
    shape(&m->target, types, want, ret);
    if (types->packed)
        share_panels(m, types, want, ret);
}

void cg_tile_vector(CgModule *m, const CgTypes *types, CgTile *ret)
{
    choose_panels(m, types, &(Want){.rows = -1}, ret);
}

/* Rows of a tile in vector registers for what is left; usual: rows, -1 where nobody knows. */
static void leave_rows(int64_t rows, int64_t usual, CgTile *ret)
{
    ret->exact = rows >= 0;
    ret->low = usual >= 0 ? (uint32_t)(usual % ret->mr) : 0;
    if (!ret->exact && !ret->low)
        ret->low = ret->mr / 2;
}

void cg_tile_init(CgModule *m, const CgTypes *types, const ScTerm *rows, const ScTerm *cols,
                  const ScTerm *depth, CgTile *ret)
{
    const CgTarget *t = &m->target;
    int64_t n_row = const_or(rows, -1), n_k = const_or(depth, -1), n_col = const_or(cols, -1);
    int64_t usual = usual_rows(rows);
    bool many = n_row >= 0 || usual > t->n_reg; /* else a tile for them would be too low for more */
    const Want want = {many ? usual : -1, n_col, cg_registers_pay(t, n_row, n_col, n_k)};
    choose_panels(m, types, &want, ret);
    ret->last = last_lanes(t, ret, n_col < 0 ? INT64_MAX : n_col);
    if (ret->micro->registers)
        cg_registers_shape(n_row, want.rows, n_col, ret);
    else
        leave_rows(n_row, want.rows, ret);

    uint32_t kc = t->kc / ret->parts; /* a panel's rows stay in the first cache */
    if (n_k >= 0) {
        int64_t chunks = (n_k + kc - 1) / kc;
        kc = chunks ? (uint32_t)((n_k + chunks - 1) / chunks) : 1;
    }
    ret->kc = kc;
    cg_tile_chunk(ret, 4);

    uint32_t block = cg_round_up(CG_TILE_ROWS, ret->mr);
    if (n_row >= 0 && n_row < block)
        block = cg_round_up((uint32_t)n_row, ret->mr);
    while (block > ret->mr && n_k > 0 &&
           (double)block * (double)n_k * ret->a.size > (double)t->cache_block)
        block -= ret->mr;
    ret->rows = block > ret->mr ? block : ret->mr;
}

/* --- The tile -------------------------------------------------------------------------------- */

/* A low tile's loop is of several steps: what they ask memory for, and the loop itself, take places
 * of multiplications. Not of integers: LLVM adds up several steps' products first, and keeps sums
 * in memory for it. */
enum { MACS = 48, STEPS = 4, LINE = 64 };

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

/* One step: acc[mr][nv] += a[.][k ..] * b[k ..][.] */
static void tile_step(Cg *cg, const CgTile *t, uint32_t mr, bool offsets, LLVMValueRef k,
                      LLVMValueRef *acc)
{
    LLVMValueRef at = cg_mul_int(cg, k, cg_int(cg, t->nr)), b[4];
    if (offsets)
        at = load(cg, cg->m->i64, cg_gep(cg, cg->m->i64, LLVMGetParam(cg->fn, P_OFF), k), 8);
    LLVMValueRef row = cg_gep(cg, t->b.type, LLVMGetParam(cg->fn, P_B), at);
    for (uint32_t j = 0; j < t->nv; j++) {
        uint32_t n = t->ku * lanes(t, j);
        LLVMValueRef ptr = cg_gep(cg, t->b.type, row, cg_int(cg, (int64_t)j * t->w * t->ku));
        b[j] = load(cg, cg_vec(t->b.type, n), ptr, offsets ? t->b.size : t->b.size * n);
    }
    LLVMValueRef first = t->turned ? cg_mul_int(cg, k, cg_int(cg, t->mr)) : k;
    LLVMValueRef col = cg_gep(cg, t->a.type, LLVMGetParam(cg->fn, P_A), first);
    for (uint32_t r = 0; r < mr; r++) {
        int64_t line = t->turned ? r * t->ku : (int64_t)r * t->ks;
        LLVMValueRef from = cg_gep(cg, t->a.type, col, cg_int(cg, line));
        for (uint32_t j = 0; j < t->nv; j++) {
            LLVMValueRef *x = &acc[r * t->nv + j], a = cg_tile_group(cg, t, from, lanes(t, j));
            LLVMTypeRef vec = cg_vec(t->el, lanes(t, j));
            cg_set(cg, *x, cg_tile_mac(cg, t, a, b[j], cg_get(cg, vec, *x)));
        }
    }
}

/* --- Squares --- */

/* Sums of rows r and r + 1 by columns c and c + 1 are a vector; of a row that is the last of an odd
 * number, twice. */

static uint32_t n_sums(const CgTile *t, uint32_t mr)
{
    return (t->micro->squares ? cg_round_up(mr, 2) : mr) * t->nv;
}

/* Neighbours in k of a step. */
static uint32_t step_of(const CgTile *t)
{
    return t->micro->squares ? t->deep : t->ku;
}

/* Two lanes of x, then of y: the lower ones or the upper ones. */
static LLVMValueRef halves(Cg *cg, LLVMValueRef x, LLVMValueRef y, uint32_t upper)
{
    LLVMValueRef lane[4];
    for (uint32_t i = 0; i < 4; i++)
        lane[i] = LLVMConstInt(cg->m->i32, 2 * upper + i % 2 + i / 2 * 4, 0);
    return LLVMBuildShuffleVector(cg->b, x, y, LLVMConstVector(lane, 4), "");
}

/* The same lanes, each of x with y's behind it. */
static LLVMValueRef by_turns(Cg *cg, LLVMValueRef x, LLVMValueRef y, uint32_t upper)
{
    LLVMValueRef lane[4];
    for (uint32_t i = 0; i < 4; i++)
        lane[i] = LLVMConstInt(cg->m->i32, 2 * upper + i / 2 + i % 2 * 4, 0);
    return LLVMBuildShuffleVector(cg->b, x, y, LLVMConstVector(lane, 4), "");
}

/* acc[2][2] += a[2][4] * b[4][2], b by columns. */
static LLVMValueRef square(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    LLVMTypeRef bf16 = cg_vec(cg->m->bf16, 8);
    LLVMValueRef arg[3] = {acc, LLVMBuildBitCast(cg->b, a, bf16, ""),
                           LLVMBuildBitCast(cg->b, b, bf16, "")};
    return cg_intrinsic(cg, "llvm.aarch64.neon.bfmmla", 0, NULL, 3, arg);
}

/* Four neighbours in k of row r and of the next one. */
static LLVMValueRef square_rows(Cg *cg, const CgTile *t, uint32_t mr, uint32_t r, LLVMValueRef col)
{
    LLVMValueRef x = LLVMGetPoison(cg_vec(cg->m->i64, 2));
    for (uint32_t i = 0; i < 2; i++) {
        int64_t line = r + i < mr ? r + i : r;
        LLVMValueRef from = cg_gep(cg, t->a.type, col, cg_int(cg, line * t->ks));
        LLVMValueRef y = load(cg, cg->m->i64, from, t->a.size);
        x = LLVMBuildInsertElement(cg->b, x, y, LLVMConstInt(cg->m->i32, i, 0), "");
    }
    return x;
}

/* Four rows of B, which lie in pairs, from k on: by two columns each. */
static void square_columns(Cg *cg, const CgTile *t, LLVMValueRef k, LLVMValueRef *ret)
{
    LLVMTypeRef pairs = cg_vec(cg->m->i32, t->w);
    for (uint32_t j = 0; j < t->nv; j++) {
        LLVMValueRef row[2];
        for (uint32_t i = 0; i < 2; i++) {
            LLVMValueRef at = cg_add_int(cg, k, cg_int(cg, i * t->ku));
            at = cg_mul_int(cg, at, cg_int(cg, t->nr));
            at = cg_add_int(cg, at, cg_int(cg, (int64_t)j * t->w * t->ku));
            at = cg_gep(cg, t->b.type, LLVMGetParam(cg->fn, P_B), at);
            row[i] = load(cg, pairs, at, t->b.size * t->w * t->ku);
        }
        for (uint32_t i = 0; i < 2; i++)
            ret[2 * j + i] = by_turns(cg, row[0], row[1], i);
    }
}

static void square_step(Cg *cg, const CgTile *t, uint32_t mr, LLVMValueRef k, LLVMValueRef *acc)
{
    LLVMTypeRef vec = cg_vec(t->el, t->w);
    LLVMValueRef b[2 * 4], col = cg_gep(cg, t->a.type, LLVMGetParam(cg->fn, P_A), k);
    square_columns(cg, t, k, b);
    for (uint32_t r = 0; r < mr; r += 2) {
        LLVMValueRef a = square_rows(cg, t, mr, r, col);
        for (uint32_t i = 0; i < 2 * t->nv; i++) {
            LLVMValueRef *x = &acc[r * t->nv + i];
            cg_set(cg, *x, square(cg, a, b[i], cg_get(cg, vec, *x)));
        }
    }
}

/* The sums of rows r and r + 1, vector j: from C, or to it. */
static void move_square(Cg *cg, const CgTile *t, uint32_t mr, uint32_t r, uint32_t j,
                        const LLVMValueRef *var, bool to_c)
{
    LLVMTypeRef vec = cg_vec(t->el, t->w);
    LLVMValueRef x[2], ptr[2];
    const uint32_t n = r + 1 < mr ? 2 : 1, align = t->size * t->w;
    for (uint32_t i = 0; i < 2; i++) {
        int64_t at = (int64_t)(i < n ? r + i : r) * t->nr + j * t->w;
        ptr[i] = cg_gep(cg, t->el, LLVMGetParam(cg->fn, P_C), cg_int(cg, at));
        x[i] = to_c ? cg_get(cg, vec, var[i]) : load(cg, vec, ptr[i], align);
    }
    for (uint32_t i = 0; i < (to_c ? n : 2); i++) {
        LLVMValueRef y = halves(cg, x[0], x[1], i);
        if (to_c)
            store(cg, y, ptr[i], align);
        else
            cg_set(cg, var[i], y);
    }
}

/* --- Steps --- */

/* What step k asks memory for. */
static void ask(Cg *cg, LLVMValueRef k)
{
    LLVMValueRef ahead = LLVMBuildMul(cg->b, k, LLVMGetParam(cg->fn, P_STEP), "");
    cg_prefetch(cg, cg_gep(cg, cg->m->i8, LLVMGetParam(cg->fn, P_NEXT), ahead), 2);
}

/* So many steps from k on. Most often they ask for less than a line, else for one each. */
static void tile_steps(Cg *cg, const CgTile *t, uint32_t mr, bool offsets, uint32_t n,
                       LLVMValueRef k, LLVMValueRef *acc)
{
    ask(cg, k);
    if (n > 1) {
        LLVMValueRef most = cg_int(cg, LINE / (n * step_of(t)));
        CgIf more =
            cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntSGT, LLVMGetParam(cg->fn, P_STEP), most, ""));
        for (uint32_t i = 1; i < n; i++)
            ask(cg, cg_add_int(cg, k, cg_int(cg, i * step_of(t))));
        cg_endif(cg, &more);
    }
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef at = cg_add_int(cg, k, cg_int(cg, i * step_of(t)));
        if (t->micro->squares)
            square_step(cg, t, mr, at, acc);
        else
            tile_step(cg, t, mr, offsets, at, acc);
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

static void move_sums(Cg *cg, const CgTile *t, uint32_t mr, LLVMValueRef *acc, bool to_c)
{
    bool squares = t->micro->squares;
    for (uint32_t i = 0; i < n_sums(t, mr); i += squares ? 2 : 1) {
        if (squares)
            move_square(cg, t, mr, i / (2 * t->nv) * 2, i / 2 % t->nv, acc + i, to_c);
        else
            move_sum(cg, t, i, acc[i], to_c);
    }
}

static void vector_tile(Cg *cg, const CgTile *t, uint32_t mr, bool offsets)
{
    LLVMValueRef acc[64], fn = cg->fn;
    uint32_t n = n_sums(t, mr);
    for (uint32_t i = 0; i < n; i++) {
        LLVMTypeRef vec = cg_vec(t->el, lanes(t, i % t->nv));
        acc[i] = cg_var(cg, vec, LLVMConstNull(vec));
    }
    CgIf more = cg_if(cg, LLVMBuildNot(cg->b, LLVMGetParam(fn, P_FIRST), ""));
    move_sums(cg, t, mr, acc, false);
    cg_endif(cg, &more);
    LLVMValueRef from = cg_int(cg, 0), end = LLVMGetParam(fn, P_K);
    bool real = LLVMGetTypeKind(t->el) != LLVMIntegerTypeKind;
    uint32_t steps = real && n < MACS ? MACS / n : 1;
    steps = steps > STEPS ? STEPS : steps;
    if (steps > 1) {
        LLVMValueRef step = cg_int(cg, steps * step_of(t));
        LLVMValueRef whole = cg_mul_int(cg, LLVMBuildUDiv(cg->b, end, step, ""), step);
        CgLoop k = cg_for(cg, from, whole, step);
        tile_steps(cg, t, mr, offsets, steps, k.i, acc);
        cg_next(cg, &k);
        from = whole;
    }
    CgLoop k = cg_for(cg, from, end, cg_int(cg, step_of(t)));
    tile_steps(cg, t, mr, offsets, 1, k.i, acc);
    cg_next(cg, &k);
    move_sums(cg, t, mr, acc, true);
}

/* Of a packed B, which has no offsets. */
static void register_tile(Cg *cg, const CgTile *t, uint32_t mr)
{
    LLVMValueRef fn = cg->fn;
    const CgTileArgs x = {
        .a = LLVMGetParam(fn, P_A),
        .b = LLVMGetParam(fn, P_B),
        .c = LLVMGetParam(fn, P_C),
        .k = LLVMGetParam(fn, P_K),
        .first = LLVMGetParam(fn, P_FIRST),
        .next = LLVMGetParam(fn, P_NEXT),
        .step = LLVMGetParam(fn, P_STEP),
    };
    cg_registers_tile(cg, t, mr, &x);
}

LLVMValueRef cg_tile_fn(CgModule *m, const CgTile *t, uint32_t mr, bool offsets)
{
    char *el = LLVMPrintTypeToString(t->el);
    const char *name =
        sc_printf(m->arena, "tile_%s_%s_%ux%u_%u_%u_%u_%u%s%s", t->micro->name, el, mr,
                  t->nv * t->w, t->nr, t->high, t->last, t->turned ? t->mr : t->ks,
                  t->turned ? "_turned" : "", offsets ? "_offsets" : "");
    name = cg_shared_name(m, name);
    LLVMDisposeMessage(el);
    LLVMValueRef fn = LLVMGetNamedFunction(m->mod, name);
    if (fn)
        return fn;

    Cg cg;
    fn = cg_begin_fn(&cg, m, NULL, name, tile_type(m));
    if (t->micro->registers)
        register_tile(&cg, t, mr);
    else
        vector_tile(&cg, t, mr, offsets);
    cg_end_fn(&cg);
    return fn;
}

void cg_tile_call(Cg *cg, const CgTile *t, uint32_t mr, const CgTileArgs *x)
{
    LLVMValueRef arg[N_PARAM] = {
        [P_A] = x->a,
        [P_B] = x->b,
        [P_C] = x->c,
        [P_K] = x->k,
        [P_FIRST] = x->first,
        [P_OFF] = x->off ? x->off : LLVMConstNull(cg->m->t_ptr),
        [P_NEXT] = x->next ? x->next : x->b,
        [P_STEP] = x->next ? x->step : cg_int(cg, 0),
    };
    LLVMValueRef fn = cg_tile_fn(cg->m, t, mr, x->off);
    LLVMValueRef share = NULL; /* each part asks for its own of what comes */
    if (t->parts > 1) {
        arg[P_STEP] = LLVMBuildUDiv(cg->b, arg[P_STEP], cg_int(cg, t->parts), "");
        share = cg_mul_int(cg, arg[P_STEP], x->k);
    }
    for (uint32_t i = 0; i < t->parts; i++) {
        LLVMValueRef at = cg_int(cg, (int64_t)i * t->nv * t->w);
        arg[P_B] = cg_gep(cg, t->b.type, x->b, at);
        arg[P_C] = cg_gep(cg, t->el, x->c, at);
        if (i)
            arg[P_NEXT] = cg_gep(cg, cg->m->i8, arg[P_NEXT], share);
        LLVMBuildCall2(cg->b, tile_type(cg->m), fn, arg, N_PARAM, "");
    }
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
