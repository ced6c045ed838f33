/* SPDX-License-Identifier: Apache-2.0 */
/* Regions of images resampled, and determinants: both in f64. */
#include "ir/ops/ops_priv.h"

#include <string.h>

/* --- roi_align ------------------------------------------------------------------------------- */

enum { HEIGHT, WIDTH, RATIO, SCALE, MODE, HALF };
enum { X, ROIS, IMAGE };

static bool largest(const ScAttr *attr)
{
    return strcmp(attr[MODE].s, "max") == 0;
}

static bool infer_roi(ScInfer *in)
{
    const ScType *x = in->in[X], *roi = in->in[ROIS], *image = in->in[IMAGE];
    const ScAttr *a = in->attr;
    if (x->rank != 4 || roi->rank != 2 || image->rank != 1)
        return sc_infer_fail(in, SC_E_RANK, "images of 4, regions of 2, indices of 1 dimension");
    if (x->dtype != roi->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "the regions must have the type of the images");
    if (a[HEIGHT].i < 1 || a[WIDTH].i < 1 || a[HEIGHT].i > INT32_MAX || a[WIDTH].i > INT32_MAX ||
        a[RATIO].i < 0 || a[RATIO].i > 4096 || (!largest(a) && strcmp(a[MODE].s, "avg") != 0))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "%lld x %lld, %lld samples, \"%s\"",
                             (long long)a[HEIGHT].i, (long long)a[WIDTH].i, (long long)a[RATIO].i,
                             a[MODE].s);
    if (!sc_require_equal(in, roi->dim[1], sc_term(in->cx, 4), "numbers of a region") ||
        !sc_require_equal(in, roi->dim[0], image->dim[0], "regions and their images"))
        return false;
    const ScTerm *dim[] = {roi->dim[0], x->dim[1], sc_term(in->cx, a[HEIGHT].i),
                           sc_term(in->cx, a[WIDTH].i)};
    return sc_ops_result(in, x->dtype, 4, dim);
}

/* The image at (y, x) between pixels: each of the four neighbours with its weight. */
static void neighbours(const ScrtTensor *t, int64_t plane, double y, double x, double *ret)
{
    int64_t h = t->dims[2], w = t->dims[3];
    bool inside = y >= -1 && y <= (double)h && x >= -1 && x <= (double)w && h && w;
    double cy = fmin(fmax(y, 0), (double)(h - 1)), cx = fmin(fmax(x, 0), (double)(w - 1));
    for (int64_t k = 0; k < 4; k++) {
        int64_t py = (int64_t)cy + k / 2, px = (int64_t)cx + k % 2;
        double weight = (1 - fabs(cy - (double)py)) * (1 - fabs(cx - (double)px));
        bool used = inside && weight != 0; /* a neighbour that does not exist has none */
        ret[k] =
            used ? weight * scrt_load(t->dtype, t->data, (size_t)((plane * h + py) * w + px)) : 0;
    }
}

static double roi_element(const ScEval *e, int64_t n, int64_t c, int64_t row, int64_t column)
{
    const ScAttr *a = e->n->attr;
    const ScrtTensor *roi = e->in[ROIS], *image = e->in[IMAGE];
    double start[2], size[2], top = -INFINITY, sum = 0, v[4];
    int64_t count[2], extent[2] = {a[WIDTH].i, a[HEIGHT].i};
    for (uint32_t d = 0; d < 2; d++) {
        double lo = scrt_load(roi->dtype, roi->data, (size_t)(4 * n + d)) * a[SCALE].f;
        double hi = scrt_load(roi->dtype, roi->data, (size_t)(4 * n + d + 2)) * a[SCALE].f;
        start[d] = lo - (a[HALF].i ? 0.5 : 0);
        size[d] = (a[HALF].i ? hi - lo : fmax(hi - lo, 1)) / (double)extent[d];
        count[d] = a[RATIO].i ? a[RATIO].i : (int64_t)ceil(size[d]);
    }
    int64_t plane = scrt_load_int(image->dtype, image->data, (size_t)n) * e->in[X]->dims[1] + c;
    int64_t used = 0;
    for (int64_t i = 0; i < count[1]; i++)
        for (int64_t j = 0; j < count[0]; j++, used++) {
            double y = start[1] + size[1] * ((double)row + ((double)i + 0.5) / (double)count[1]);
            double x = start[0] + size[0] * ((double)column + ((double)j + 0.5) / (double)count[0]);
            neighbours(e->in[X], plane, y, x, v);
            for (uint32_t k = 0; k < 4; k++) {
                sum += v[k];
                top = fmax(top, v[k]);
            }
        }
    if (largest(a))
        return used ? top : 0;
    return sum / (double)(used ? used : 1);
}

static bool eval_roi(ScEval *e)
{
    const ScAttr *a = e->n->attr;
    const ScrtTensor *image = e->in[IMAGE];
    int64_t idx[4] = {0}, n = scrt_count(&e->out[0]);
    for (int64_t i = 0; i < scrt_count(image); i++) {
        int64_t at = scrt_load_int(image->dtype, image->data, (size_t)i);
        if (at < 0 || at >= e->in[X]->dims[0])
            return sc_fail(e->cx, e->n->loc, SC_E_INPUT, "a region of image %lld", (long long)at);
        for (int64_t d = 0; d < 2; d++) {
            const ScrtTensor *roi = e->in[ROIS];
            double size = scrt_load(roi->dtype, roi->data, (size_t)(4 * i + d + 2)) -
                          scrt_load(roi->dtype, roi->data, (size_t)(4 * i + d));
            size *= a[SCALE].f / (double)a[d ? HEIGHT : WIDTH].i;
            if (!(fabs(size) <= 4096)) /* pixels: the sum would take for ever */
                return sc_fail(e->cx, e->n->loc, SC_E_INPUT, "a region of %g pixels", size);
        }
    }
    for (int64_t i = 0; i < n; i++, sc_ops_next(4, e->out[0].dims, idx))
        sc_ops_store(&e->out[0], i, roi_element(e, idx[0], idx[1], idx[2], idx[3]));
    return true;
}

static void call_roi(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    const ScAttr *a = n->attr;
    union {
        double f;
        int64_t i;
    } scale = {a[SCALE].f};
    ret->callee = SCRT_CALLEE_ROI_ALIGN;
    ret->param[ret->n_param++] = sc_term(g->cx, largest(a));
    ret->param[ret->n_param++] = sc_term(g->cx, a[HALF].i != 0);
    ret->param[ret->n_param++] = sc_term(g->cx, a[RATIO].i);
    ret->param[ret->n_param++] = sc_term(g->cx, scale.i);
}

static uint32_t make_roi(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t images = sc_ops_pick(r, 1, 2), n = sc_ops_pick(r, 1, 3), of[3];
    for (int64_t i = 0; i < n; i++)
        of[i] = sc_ops_pick(r, 0, (uint32_t)images - 1);
    int64_t dims[] = {images, sc_ops_pick(r, 1, 3), sc_ops_pick(r, 1, 6), sc_ops_pick(r, 1, 6)};
    ScVal in[] = {sc_ops_input(b, "x", SCRT_F32, 4, dims),
                  sc_ops_input(b, "roi", SCRT_F32, 2, (int64_t[]){n, 4}),
                  sc_const_i64(b, (uint32_t)n, of)};
    ret_out[0] = sc_node1(b, &sc_op_roi_align,
                          SC_ATTRS(SC_INT(sc_ops_pick(r, 1, 3)), SC_INT(sc_ops_pick(r, 1, 3)),
                                   SC_INT(sc_ops_pick(r, 0, 2)), SC_FLOAT(0.75),
                                   SC_STR(sc_ops_pick(r, 0, 1) ? "max" : "avg"),
                                   SC_INT(sc_ops_pick(r, 0, 1))),
                          3, in);
    return 1;
}

const ScOp sc_op_roi_align = {
    .name = "roi_align",
    .doc =
        "regions of images, two corners each, resampled to one size: the mean of samples between "
        "pixels, or the largest of their weighted neighbours",
    .onnx = {"", "RoiAlign", 10},
    .in = "X: float, rois: float, batch_indices: int",
    .out = "Y: float",
    .attr = {{.name = "output_height", .kind = SC_A_INT, .def = SC_INT(1), .doc = "of the result"},
             {.name = "output_width", .kind = SC_A_INT, .def = SC_INT(1), .doc = "of the result"},
             {.name = "sampling_ratio",
              .kind = SC_A_INT,
              .def = SC_INT(0),
              .doc = "samples of an element each way; 0: as many as it covers pixels"},
             {.name = "spatial_scale",
              .kind = SC_A_FLOAT,
              .def = SC_FLOAT(1),
              .doc = "what coordinates are multiplied by"},
             {.name = "mode",
              .kind = SC_A_STR,
              .def = {.kind = SC_A_STR, .s = "avg"},
              .doc = "avg, max"},
             {.name = "half_pixel",
              .kind = SC_A_INT,
              .def = SC_INT(1),
              .doc = "the first pixel's center is at 0.5; 0: at 0, and no region is below 1"}},
    .n_attr = 6,
    .infer = infer_roi,
    .scale = "a, 0, _ -> a",
    .top = sc_ops_top_first,
    .lower = {SC_CALL},
    .call = call_roi,
    .eval = eval_roi,
    .domain = {.make = make_roi},
    .max_ulp = 64, /* positions round otherwise */
};

/* --- det ------------------------------------------------------------------------------------- */

static bool infer_det(ScInfer *in)
{
    const ScType *x = in->in[0];
    if (x->rank < 2)
        return sc_infer_fail(in, SC_E_RANK, "rank %u, at least 2 is needed", x->rank);
    return sc_require_equal(in, x->dim[x->rank - 2], x->dim[x->rank - 1],
                            "rows and columns of a square matrix") &&
           sc_ops_result(in, x->dtype, x->rank - 2, x->dim);
}

/* Row by row: each is cleared by multiples of those above it, exchanged for one below that can. */
static bool eval_det(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    int64_t n = x->dims[x->rank - 1], count = scrt_count(&e->out[0]);
    ScArena *a = sc_arena_new();
    double *all = sc_ops_doubles(a, x);
    for (int64_t i = 0; i < count; i++) {
        double *m = all + i * n * n, det = 1;
        for (int64_t k = 0; k < n; k++) {
            int64_t p = k;
            for (int64_t row = k; row < n; row++)
                p = fabs(m[row * n + k]) > fabs(m[p * n + k]) ? row : p;
            for (int64_t c = 0; c < n && p != k; c++) { /* exchanged and negated: the same */
                double upper = m[k * n + c];
                m[k * n + c] = m[p * n + c];
                m[p * n + c] = -upper;
            }
            det *= m[k * n + k];
            for (int64_t row = k + 1; row < n && m[k * n + k] != 0; row++) {
                double by = m[row * n + k] / m[k * n + k];
                for (int64_t c = 0; c < n; c++)
                    m[row * n + c] -= by * m[k * n + c];
            }
        }
        sc_ops_store(&e->out[0], i, det);
    }
    sc_arena_free(a);
    return true;
}

static void call_det(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    const ScType *x = sc_type_of(g, n->in[0]);
    const ScTerm *rows = x->dim[x->rank - 1];
    ret->callee = SCRT_CALLEE_DET;
    ret->scratch = sc_term_scale(g->cx, sc_term_mul(g->cx, rows, rows), 8);
}

static uint32_t make_det(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t n = sc_ops_pick(r, 1, 5);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, 3, (int64_t[]){sc_ops_pick(r, 1, 3), n, n});
    ret_out[0] = sc_op(b, det, x);
    return 1;
}

const ScOp sc_op_det = {
    .name = "det",
    .doc = "the determinants of the matrices in the last two axes",
    .onnx = {"", "Det", 11},
    .in = "X: float",
    .out = "Y: float",
    .infer = infer_det,
    .scale = "0 -> 0",
    .lower = {SC_CALL},
    .call = call_det,
    .eval = eval_det,
    .domain = {.make = make_det},
    .max_ulp = 4,
};
