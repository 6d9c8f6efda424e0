/*
 * faults: what the two halves of the shim and the tests share. tests/support/faults.py knows this
 * layout too.
 */
#ifndef LASTCALL_TESTS_FAULTS_H
#define LASTCALL_TESTS_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

enum { FAULTS_MAX = 128, FAULT_NAME_MAX = 32 };

/* The file. Calls are counted from 1 on; the test sets the counts back. */
struct faults {
    _Atomic int32_t armed; /* the place in `calls` of what fails; -1: nothing */
    _Atomic int32_t error; /* an errno, or what the function returns in its place */
    _Atomic int64_t from;  /* the first call that fails */
    _Atomic int64_t to;    /* and the last */
    _Atomic int64_t failed;
    struct {
        char name[FAULT_NAME_MAX];
        _Atomic int64_t made;
    } calls[FAULTS_MAX];
};

/* A symbol and what is called in its place. Several may count as one call: read and __read_chk. */
struct fault_stub {
    const char *symbol;
    uintptr_t address;
};

extern const struct fault_stub fault_stubs[]; /* ended by a row whose symbol is NULL */
extern const char *const fault_names[];       /* by place; ended by NULL */

/* Counts a call. Returns what it fails with; 0: it does not. */
int faults_due(int call);

#endif
