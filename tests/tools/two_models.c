/* SPDX-License-Identifier: Apache-2.0 */
/* Two models in one program, as objects or shared objects: what the f32 model sees in a picture,
 * and what the one in FP8 does. The README has the commands. */
#include <plain.h>
#include <scrtio.h>
#include <small.h>
#include <stdio.h>

/* The place of the largest output; -1 after a message. */
static int digit(const ScrtModel *m, const ScrtTensor *picture)
{
    ScrtSession *s = NULL;
    ScrtTensor y = {0};
    int best = -1;
    if (scrt_open(m, NULL, &s) != SCRT_OK || scrt_run(s, picture, &y) != SCRT_OK)
        fprintf(stderr, "%s: %s\n", m->name, s ? scrt_error(s) : "cannot be opened");
    const float *x = y.data;
    for (int i = 0; x && i < scrt_count(&y); i++)
        best = best < 0 || x[i] > x[best] ? i : best;
    scrt_free(y.data);
    scrt_close(s);
    return best;
}

int main(int argc, char **argv)
{
    ScrtTensor picture;
    ScrtIoError err = {"which picture? a .npy"};
    if (argc != 2 || scrt_npy_read(argv[1], SCRT_F32, &picture, &err) != SCRT_OK)
        return fprintf(stderr, "%s\n", err.text), 1;
    printf("f32: %d, FP8: %d\n", digit(&plain, &picture), digit(&small, &picture));
    scrt_free(picture.data);
    return 0;
}
