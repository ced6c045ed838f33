/* SPDX-License-Identifier: Apache-2.0 */
/* Determinants, by elimination in f64 with the largest of a column as pivot. */
#include "runtime/call.h"
#include "runtime/num/num.h"

#include <math.h>

/* m: [n, n], which is overwritten. */
static double determinant(double *m, int64_t n)
{
    double det = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(m[i * n + k]) > fabs(m[best * n + k]))
                best = i;
        if (best != k)
            det = -det;
        for (int64_t j = k; j < n && best != k; j++) {
            double x = m[k * n + j];
            m[k * n + j] = m[best * n + j];
            m[best * n + j] = x;
        }
        double pivot = m[k * n + k];
        det *= pivot;
        for (int64_t i = k + 1; i < n && pivot != 0; i++) {
            double by = m[i * n + k] / pivot;
            for (int64_t j = k; j < n; j++)
                m[i * n + j] -= by * m[k * n + j];
        }
    }
    return det;
}

/* x [..., n, n]; scratch: 8 bytes for each element of a matrix. */
ScrtStatus scrt_call_det(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[0];
    int64_t n = x->dims[x->rank - 1], count = scrt_count(a->out);
    double *m = a->scratch;
    (void)ret_why;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < n * n; k++)
            m[k] = scrt_load((ScrtDtype)x->dtype, x->data, (size_t)(i * n * n + k));
        scrt_store((ScrtDtype)a->out->dtype, a->out->data, (size_t)i, determinant(m, n), false);
    }
    return SCRT_OK;
}
