/* SPDX-License-Identifier: Apache-2.0 */
/* .npz archives, hostile ones among them, and the states of a session in files. */
#include "runtime/num/num.h"
#include "runtime/scrtio.h"
#include "tests/harness.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/scratch.h"
#include "tests/runtime/toy_model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* --- Archives made by hand --- */

static unsigned char file[1 << 16];
static size_t n_file, central[8]; /* central: where each directory entry begins */

static void put(uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        file[n_file++] = (unsigned char)(x >> 8 * i);
}

static void poke(size_t at, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        file[at + (size_t)i] = (unsigned char)(x >> 8 * i);
}

static void put_bytes(const void *p, size_t n)
{
    memcpy(file + n_file, p, n);
    n_file += n;
}

/* n floats 0, 1, 2 ... as a .npy; returns its size. */
static size_t make_npy(unsigned char *p, int n)
{
    char header[119];
    int k = snprintf(header, sizeof header,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }", n);
    memset(header + k, ' ', sizeof header - (size_t)k);
    header[117] = '\n';
    memcpy(p, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(p + 10, header, 118);
    for (int i = 0; i < n; i++) {
        float x = (float)i;
        memcpy(p + 128 + 4 * i, &x, 4);
    }
    return 128 + 4 * (size_t)n;
}

typedef struct Entry {
    const char *name;
    int n;         /* floats */
    bool deflated; /* else stored */
    bool zip64;    /* sizes and offset in extra fields, also of the local header as NumPy has it */
} Entry;

typedef struct Made {
    uint32_t crc, packed, size, at;
} Made;

/* Deflates n bytes into dst; returns how many it takes. */
static size_t deflate_into(unsigned char *dst, size_t room, unsigned char *src, size_t n)
{
    z_stream z = {.next_in = src, .avail_in = (unsigned)n, .next_out = dst};
    z.avail_out = (unsigned)room;
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

/* What a local header and a directory entry share, from the flags on; extra: bytes of that field.
 */
static void put_common(const Entry *e, const Made *m, size_t extra)
{
    put(0, 2);
    put(e->deflated ? 8 : 0, 2);
    put(0, 4);
    put(m->crc, 4);
    put(e->zip64 ? 0xffffffff : m->packed, 4);
    put(e->zip64 ? 0xffffffff : m->size, 4);
    put(strlen(e->name), 2);
    put(e->zip64 ? extra : 0, 2);
}

static void put_local(const Entry *e, Made *m)
{
    unsigned char npy[4096], packed[4096];
    size_t size = make_npy(npy, e->n), n = size;
    memcpy(packed, npy, size);
    if (e->deflated)
        n = deflate_into(packed, sizeof packed, npy, size);
    *m = (Made){(uint32_t)crc32(0, npy, (unsigned)size), (uint32_t)n, (uint32_t)size,
                (uint32_t)n_file};
    put(0x04034b50, 4);
    put(45, 2);
    put_common(e, m, 20);
    put_bytes(e->name, strlen(e->name));
    if (e->zip64)
        put(1, 2), put(16, 2), put(size, 8), put(n, 8);
    put_bytes(packed, n);
}

static void put_central(const Entry *e, const Made *m)
{
    put(0x02014b50, 4);
    put(45, 2);
    put(45, 2);
    put_common(e, m, 4 + 3 + 28);
    put(0, 8), put(0, 2); /* comment, disk, attributes */
    put(e->zip64 ? 0xffffffff : m->at, 4);
    put_bytes(e->name, strlen(e->name));
    if (e->zip64) /* another field first, that is stepped over */
        put(0x5455, 2), put(3, 2), put(7, 3), put(1, 2), put(24, 2), put(m->size, 8),
            put(m->packed, 8), put(m->at, 8);
}

static void put_end64(size_t n, size_t directory, size_t end)
{
    put(0x06064b50, 4);
    put(44, 8);
    put(45, 2), put(45, 2), put(0, 4), put(0, 4);
    put(n, 8);
    put(n, 8);
    put(end - directory, 8);
    put(directory, 8);
    put(0x07064b50, 4);
    put(0, 4);
    put(end, 8);
    put(1, 4);
}

static void make_archive(const Entry *e, size_t n, const char *comment)
{
    Made made[8];
    n_file = 0;
    for (size_t i = 0; i < n; i++)
        put_local(&e[i], &made[i]);
    size_t directory = n_file;
    for (size_t i = 0; i < n; i++) {
        central[i] = n_file;
        put_central(&e[i], &made[i]);
    }
    size_t end = n_file;
    bool zip64 = n > 0 && e[0].zip64;
    if (zip64)
        put_end64(n, directory, end);
    put(0x06054b50, 4);
    put(0, 4);
    put(zip64 ? 0xffff : n, 2);
    put(zip64 ? 0xffff : n, 2);
    put(zip64 ? 0xffffffff : end - directory, 4);
    put(zip64 ? 0xffffffff : directory, 4);
    put(strlen(comment), 2);
    put_bytes(comment, strlen(comment));
}

static ScrtStatus read_made(ScrtNamedList *list, ScrtIoError *err)
{
    scratch_write(scratch("t.npz"), file, n_file);
    return scrt_npz_read(scratch("t.npz"), list, err);
}

static void expect(ScrtStatus want, const char *words)
{
    ScrtNamedList list;
    ScrtIoError err;
    ScrtStatus s = read_made(&list, &err);
    ck_assert_msg(s == want && strstr(err.text, words) && strstr(err.text, "t.npz"),
                  "status %d, '%s', not '%s'", s, err.text, words);
}

static const Entry three[] = {
    {"a.npy", 5, false, false}, {"b.npy", 300, true, false}, {"no suffix", 0, false, false}};
static const Entry three64[] = {
    {"a.npy", 5, false, true}, {"b.npy", 300, true, true}, {"no suffix", 0, false, true}};

static void check_three(void)
{
    static const char *const names[] = {"a", "b", "no suffix"};
    ScrtNamedList list;
    ScrtIoError err;
    ScrtStatus s = read_made(&list, &err);
    ck_assert_msg(s == SCRT_OK, "%s", err.text);
    ck_assert_uint_eq(list.n, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const ScrtTensor *t = &list.item[i].tensor;
        ck_assert_str_eq(list.item[i].name, names[i]);
        ck_assert(t->dtype == SCRT_F32 && t->rank == 1 && t->dims[0] == three[i].n);
        for (int k = 0; k < three[i].n; k++)
            ck_assert(((float *)t->data)[k] == (float)k);
    }
    scrt_named_free(&list);
    ck_assert(!list.item && list.n == 0);
}

START_TEST(reads_stored_and_deflated)
{
    scratch_make();
    make_archive(three, 3, "");
    check_three();
    make_archive(three, 3, "a comment, PK\5\6 and all");
    check_three();
    make_archive(three64, 3, "");
    check_three();
    make_archive(three, 0, "");
    ScrtNamedList list;
    ck_assert_int_eq(read_made(&list, NULL), SCRT_OK);
    ck_assert_uint_eq(list.n, 0);
    scrt_named_free(&list);
    scratch_remove();
}
END_TEST

START_TEST(refuses_in_words)
{
    scratch_make();
    n_file = 0;
    expect(SCRT_E_FILE, "is no .npz file");
    make_archive(three, 3, "");
    file[n_file++] = 'x'; /* a comment that is longer than it says */
    expect(SCRT_E_FILE, "is no .npz file, or is cut off");
    make_archive(three, 3, "");
    poke(central[1] + 16, 0, 4);
    expect(SCRT_E_FILE, "'b.npy' has another checksum");
    make_archive(three, 3, "");
    poke(central[1] + 24, 2000, 4); /* says more than there is */
    expect(SCRT_E_FILE, "'b.npy' cannot be unpacked");
    poke(central[1] + 24, 1000, 4); /* and less */
    expect(SCRT_E_FILE, "'b.npy' cannot be unpacked");
    poke(central[1] + 24, 0xfffffffe, 4); /* a bomb, by its own words */
    expect(SCRT_E_FILE, "an entry's sizes cannot be");
    make_archive(three, 3, "");
    poke(central[0] + 24, 5, 4);
    expect(SCRT_E_FILE, "an entry's sizes cannot be");
    scratch_remove();
}
END_TEST

START_TEST(refuses_entries_in_words)
{
    scratch_make();
    make_archive(three, 3, "");
    poke(central[0] + 8, 1, 2);
    expect(SCRT_E_FILE, "is encrypted");
    make_archive(three, 3, "");
    poke(central[0] + 10, 93, 2);
    expect(SCRT_E_FILE, "compression method 93 is not supported");
    make_archive(three, 3, "");
    poke(central[0] + 42, 1, 4);
    expect(SCRT_E_FILE, "an entry is not where the directory says");
    poke(central[0] + 42, 0xfffffff0, 4);
    expect(SCRT_E_FILE, "an entry is not where the directory says");
    make_archive(three, 3, "");
    poke(central[0] + 20, 60000, 4);
    poke(central[0] + 24, 60000, 4);
    expect(SCRT_E_FILE, "an entry goes beyond the end");
    make_archive(three, 3, "");
    for (int i = 1; i < 3; i++) { /* three times the same bytes */
        poke(central[i] + 10, 0, 2);
        poke(central[i] + 42, 0, 4);
        poke(central[i] + 20, n_file / 2, 4);
        poke(central[i] + 24, n_file / 2, 4);
    }
    expect(SCRT_E_FILE, "its entries overlap");
    make_archive(three, 3, "");
    poke(n_file - 12, 4000000, 2);
    expect(SCRT_E_FILE, "its directory does not fit");
    make_archive(three, 3, "");
    poke(n_file - 18, 1, 2);
    expect(SCRT_E_FILE, "one of several disks");
    make_archive((const Entry[]){{"a.npy", 1, false, false}, {"a", 2, false, false}}, 2, "");
    expect(SCRT_E_FILE, "two entries named 'a'");
    make_archive(three64, 3, "");
    poke(n_file - 22 - 20 + 8, n_file, 8);
    expect(SCRT_E_FILE, "zip64 directory is not found");
    make_archive(three, 3, "");
    poke(central[0] + 46 + 1, 0, 1); /* in the name */
    expect(SCRT_E_FILE, "name in it holds a zero byte");
    make_archive(three, 3, "");
    memcpy(file + 30 + 5, "\x93NUMPX", 6);
    poke(central[0] + 16, crc32(0, file + 35, 148), 4);
    expect(SCRT_E_FILE, "'a': is no .npy file");
    scratch_remove();
}
END_TEST

/* Every cut, and every bit turned round. */
START_TEST(damaged_archives_end_in_an_error_or_a_list)
{
    scratch_make();
    for (int k = 0; k < 2; k++) {
        ScrtNamedList list;
        ScrtIoError err;
        make_archive(k ? three64 : three, 3, "");
        size_t whole = n_file;
        for (n_file = 0; n_file < whole; n_file++)
            ck_assert_int_eq(read_made(&list, &err), SCRT_E_FILE);
        for (size_t bit = 0; bit < 8 * whole; bit++) {
            file[bit / 8] ^= (unsigned char)(1 << bit % 8);
            if (read_made(&list, &err) == SCRT_OK)
                scrt_named_free(&list);
            else
                ck_assert_str_ne(err.text, "");
            file[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    }
    scratch_remove();
}
END_TEST

START_TEST(writes_what_it_reads)
{
    scratch_make();
    float x[3] = {1, 2, 3};
    unsigned char nibbles[2] = {0xf1, 0x7};
    ScrtNamed item[3] = {
        {(char *)"x", {.dtype = SCRT_F32, .rank = 1, .dims = {3}, .data = x}},
        {(char *)"empty", {.dtype = SCRT_I64, .rank = 2, .dims = {0, 5}, .data = NULL}},
        {(char *)"\xc3\xa9/..%n", {.dtype = SCRT_I4, .rank = 1, .dims = {3}, .data = nibbles}},
    };
    ScrtIoError err;
    ScrtNamedList list;
    ck_assert_int_eq(scrt_npz_write(scratch("o.npz"), item, 3, &err), SCRT_OK);
    ck_assert_int_eq(scrt_npz_write(scratch("p.npz"), item, 3, &err), SCRT_OK);
    size_t n, m;
    char *a = sct_read(scratch("o.npz"), &n), *b = sct_read(scratch("p.npz"), &m);
    ck_assert(n == m && memcmp(a, b, n) == 0); /* the same bytes each time */
    free(a);
    free(b);
    ck_assert_int_eq(scrt_npz_read(scratch("o.npz"), &list, &err), SCRT_OK);
    ck_assert_uint_eq(list.n, 3);
    ck_assert_mem_eq(list.item[0].tensor.data, x, sizeof x);
    ck_assert(list.item[1].tensor.dims[0] == 0 && list.item[1].tensor.dims[1] == 5);
    ck_assert_str_eq(list.item[2].name, item[2].name);
    ck_assert(scrt_tensor_adopt(&list.item[2].tensor, SCRT_I4));
    ck_assert_int_eq(scrt_load_int(SCRT_I4, list.item[2].tensor.data, 1), -1);
    ck_assert(!scrt_tensor_adopt(&list.item[0].tensor, SCRT_F64));
    scrt_named_free(&list);

    item[1].tensor.dims[1] = -1;
    ck_assert_int_eq(scrt_npz_write(scratch("o.npz"), item, 3, &err), SCRT_E_ARGUMENT);
    ck_assert_uint_eq(scratch_count(), 2);
    a = sct_read(scratch("o.npz"), &n);
    ck_assert_uint_eq(n, m); /* the old one is still there */
    free(a);
    ck_assert_int_eq(scrt_npz_write("/dev/full", item, 1, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "No space left"), "%s", err.text);
    scratch_remove();
}
END_TEST

/* Names are kept in memory: 36 MB of them are no archive of arrays. */
START_TEST(names_have_a_bound)
{
    enum { N = 600, LENGTH = 60000 };
    static char name[N][LENGTH + 1];
    ScrtNamed item[N];
    ScrtNamedList list;
    ScrtIoError err;
    float x = 1;
    scratch_make();
    for (int i = 0; i < N; i++) {
        memset(name[i], 'a', LENGTH);
        snprintf(name[i] + LENGTH - 8, 9, "%08d", i);
        item[i] = (ScrtNamed){name[i], {.dtype = SCRT_F32, .data = &x}};
    }
    ck_assert_int_eq(scrt_npz_write(scratch("n.npz"), item, N, &err), SCRT_OK);
    ck_assert_int_eq(scrt_npz_read(scratch("n.npz"), &list, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "its names take more than 33554432 bytes"), "%s", err.text);
    scratch_remove();
}
END_TEST

/* --- States --- */

static ScrtSession *open_toy(void)
{
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = 1};
    ck_assert_int_eq(scrt_open(&toy, &o, &s), SCRT_OK);
    return s;
}

static void set_state(ScrtSession *s, float first, int64_t steps)
{
    float v[3] = {first, first + 1, first + 2};
    ScrtTensor t = {.dtype = SCRT_F32, .rank = 1, .dims = {3}, .data = v};
    ck_assert_int_eq(scrt_state_set(s, 0, &t), SCRT_OK);
    t = (ScrtTensor){.dtype = SCRT_I64, .data = &steps};
    ck_assert_int_eq(scrt_state_set(s, 1, &t), SCRT_OK);
}

static void check_state(ScrtSession *s, float first, int64_t steps)
{
    ScrtTensor t;
    ck_assert_int_eq(scrt_state_get(s, 0, &t), SCRT_OK);
    ck_assert(((float *)t.data)[0] == first && ((float *)t.data)[2] == first + 2);
    ck_assert_int_eq(scrt_state_get(s, 1, &t), SCRT_OK);
    ck_assert(*(int64_t *)t.data == steps);
}

START_TEST(states_come_back)
{
    scratch_make();
    ScrtSession *s = open_toy(), *other = open_toy();
    ScrtIoError err;
    set_state(s, 7, 42);
    ck_assert_int_eq(scrt_state_save(s, scratch("s.npz"), &err), SCRT_OK);
    set_state(s, 1, 1);
    ck_assert_int_eq(scrt_state_load(s, scratch("s.npz"), &err), SCRT_OK);
    check_state(s, 7, 42);
    ck_assert_int_eq(scrt_state_load(other, scratch("s.npz"), &err), SCRT_OK);
    check_state(other, 7, 42);
    scrt_close(s);
    scrt_close(other);
    scratch_remove();
}
END_TEST

/* The last array's checksum is another: nobody asks while heads alone are compared. */
static void spoil_last(const char *path)
{
    size_t n, directory = 0;
    char *bytes = sct_read(path, &n);
    while (directory < n - 4 && memcmp(bytes + directory, "PK\1\2", 4) != 0)
        directory++;
    bytes[directory - 1] ^= 1;
    scratch_write(path, bytes, n);
    free(bytes);
}

START_TEST(states_that_do_not_fit_change_nothing)
{
    scratch_make();
    ScrtSession *s = open_toy();
    set_state(s, 7, 42);
    float v[4] = {0};
    int64_t one = 1;
    const ScrtNamed good_s = {(char *)"s", {.dtype = SCRT_F32, .rank = 1, .dims = {3}, .data = v}};
    const ScrtNamed good_steps = {(char *)"steps", {.dtype = SCRT_I64, .data = &one}};
    const ScrtNamed long_s = {(char *)"s", {.dtype = SCRT_F32, .rank = 1, .dims = {4}, .data = v}};
    const ScrtNamed half_s = {(char *)"s", {.dtype = SCRT_F16, .rank = 1, .dims = {3}, .data = v}};
    const ScrtNamed more = {(char *)"more", {.dtype = SCRT_I64, .data = &one}};
    const struct {
        ScrtNamed item[3];
        uint32_t n;
        const char *words;
    } row[] = {
        {{good_s}, 1, "has no state 'steps'"},
        {{good_steps, long_s}, 2, "state 's' has the shape [3], not [4]"},
        {{good_steps, half_s}, 2, "state 's' is f16, not f32"},
        {{good_s, good_steps, more}, 3, "the model has no state 'more'"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        ScrtIoError err;
        ck_assert_int_eq(scrt_npz_write(scratch("s.npz"), row[i].item, row[i].n, &err), SCRT_OK);
        spoil_last(scratch("s.npz"));
        ck_assert_int_eq(scrt_state_load(s, scratch("s.npz"), &err), SCRT_E_STATE);
        ck_assert_msg(strstr(err.text, row[i].words) && strstr(err.text, "s.npz: "), "%s",
                      err.text);
        check_state(s, 7, 42);
    }
    ScrtIoError err;
    ck_assert_int_eq(scrt_state_load(s, scratch("absent.npz"), &err), SCRT_E_FILE);
    check_state(s, 7, 42);
    scrt_close(s);
    scratch_remove();
}
END_TEST

static ScrtSession *held;

static ScrtStatus save_and_load(void)
{
    ScrtIoError err;
    ScrtStatus s = scrt_state_save(held, scratch("s.npz"), &err);
    if (s == SCRT_OK)
        s = scrt_state_load(held, scratch("s.npz"), &err);
    ck_assert(s == SCRT_OK || strstr(err.text, "out of memory"));
    check_state(held, 7, 42);
    return s;
}

static ScrtStatus read_three(void)
{
    ScrtNamedList list;
    ScrtIoError err;
    ScrtStatus s = read_made(&list, &err);
    if (s == SCRT_OK)
        scrt_named_free(&list);
    return s;
}

START_TEST(every_allocation_may_fail)
{
    scratch_make();
    make_archive(three, 3, "");
    ck_assert_uint_ge(fail_each_allocation(read_three), 11); /* zlib's among them */
    held = open_toy();
    set_state(held, 7, 42);
    /* the session's own memory is out, so it must not be freed under the failing allocator */
    ck_assert_uint_ge(fail_each_allocation(save_and_load), 12);
    scrt_close(held);
    ck_assert_uint_le(scratch_count(), 2);
    scratch_remove();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-npz");
    TCase *c = tcase_create("npz");
    tcase_add_test(c, reads_stored_and_deflated);
    tcase_add_test(c, refuses_in_words);
    tcase_add_test(c, refuses_entries_in_words);
    tcase_add_test(c, damaged_archives_end_in_an_error_or_a_list);
    tcase_add_test(c, writes_what_it_reads);
    tcase_add_test(c, names_have_a_bound);
    tcase_add_test(c, states_come_back);
    tcase_add_test(c, states_that_do_not_fit_change_nothing);
    tcase_add_test(c, every_allocation_may_fail);
    suite_add_tcase(s, c);
    return sct_main("runtime-npz", s);
}
