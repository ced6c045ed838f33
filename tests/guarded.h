/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the runtime whose end is the end of what is mapped: code that reads or writes past a
 * buffer, emitted code too, which no sanitizer sees, stops there. */
#ifndef SC_TESTS_GUARDED_H
#define SC_TESTS_GUARDED_H

/* From here on scrt_alloc gives such memory; call it before the first. A buffer begins at a
 * multiple of the largest power of two, up to 64, that divides its size, so that nothing lies
 * between its last byte and the end. What is written before its first byte is found when it is
 * freed. */
void sct_guard_memory(void);

#endif
