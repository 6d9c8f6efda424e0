/*
 * faults: makes calls of one object fail. Loaded by LD_PRELOAD, in tests only.
 *
 * The addresses through which an object reaches other libraries' functions are replaced by those of
 * the stubs in calls.c: so the calls of this object alone can fail, its tail calls too, while all
 * others go where they always went, also to a sanitizer's functions. What fails is said in a file
 * that is mapped by this process and by the test, so that it can change while the program runs.
 *
 * Environment: FAULTS names the file, which exists and is large enough; FAULTS_OBJECT is the
 * beginning of the object's file name ("libuv"), empty or not there for the program itself.
 */
#include "faults.h"

#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct faults nothing = {.armed = -1};
static struct faults *faults = &nothing;

int faults_due(int call)
{
    int64_t number = atomic_fetch_add(&faults->calls[call].made, 1) + 1;
    if (atomic_load(&faults->armed) != call || number < atomic_load(&faults->from) ||
        number > atomic_load(&faults->to))
        return 0;
    atomic_fetch_add(&faults->failed, 1);
    return atomic_load(&faults->error);
}

static const struct fault_stub *find_stub(const char *name)
{
    for (const struct fault_stub *stub = fault_stubs; stub->symbol != NULL; stub++)
        if (strcmp(stub->symbol, name) == 0)
            return stub;
    return NULL;
}

/* What an object's dynamic section says. */
struct dynamic {
    const ElfW(Sym) * symbols;
    const char *names;
    const ElfW(Rela) * relocations[2];
    size_t sizes[2];
};

static struct dynamic read_dynamic(const ElfW(Dyn) * entry)
{
    struct dynamic dynamic = {0};
    for (; entry->d_tag != DT_NULL; entry++) {
        const void *address = (const void *)(uintptr_t)entry->d_un.d_ptr;
        if (entry->d_tag == DT_SYMTAB)
            dynamic.symbols = address;
        else if (entry->d_tag == DT_STRTAB)
            dynamic.names = address;
        else if (entry->d_tag == DT_RELA)
            dynamic.relocations[0] = address;
        else if (entry->d_tag == DT_RELASZ)
            dynamic.sizes[0] = entry->d_un.d_val;
        else if (entry->d_tag == DT_JMPREL)
            dynamic.relocations[1] = address;
        else if (entry->d_tag == DT_PLTRELSZ)
            dynamic.sizes[1] = entry->d_un.d_val;
    }
    return dynamic;
}

/* The page may be one that the loader has made read-only. */
static void put(uintptr_t place, uintptr_t address)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    mprotect((void *)(place & ~(page - 1)), page, PROT_READ | PROT_WRITE);
    memcpy((void *)place, &address, sizeof address);
}

/* Replaces each address that the loader has put, or is to put, where a stub's symbol is meant. */
static void replace(uintptr_t base, const struct dynamic *dynamic)
{
    for (size_t i = 0; i < 2; i++) {
        const size_t count = dynamic->sizes[i] / sizeof(ElfW(Rela));
        if (dynamic->symbols == NULL || dynamic->relocations[i] == NULL)
            continue;
        for (size_t j = 0; j < count; j++) {
            const ElfW(Rela) *relocation = &dynamic->relocations[i][j];
            const ElfW(Sym) *symbol = &dynamic->symbols[ELF64_R_SYM(relocation->r_info)];
            const struct fault_stub *stub = NULL;
            if (symbol->st_shndx == SHN_UNDEF && relocation->r_addend == 0)
                stub = find_stub(dynamic->names + symbol->st_name);
            if (stub != NULL)
                put(base + relocation->r_offset, stub->address);
        }
    }
}

static int look_at(struct dl_phdr_info *info, size_t size, void *argument)
{
    const char *wanted = argument;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash == NULL ? info->dlpi_name : slash + 1;
    (void)size;
    if (strncmp(name, wanted, strlen(wanted)) != 0)
        return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        const struct dynamic dynamic =
            read_dynamic((const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
        replace(info->dlpi_addr, &dynamic);
    }
    return 1; /* the program comes first, and has no name */
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS");
    const char *object = getenv("FAULTS_OBJECT");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *shared =
        file < 0 ? MAP_FAILED
                 : mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    if (shared == MAP_FAILED)
        return;
    faults = shared;
    for (size_t i = 0; i < FAULTS_MAX && fault_names[i] != NULL; i++)
        strncpy(faults->calls[i].name, fault_names[i], FAULT_NAME_MAX - 1);
    dl_iterate_phdr(look_at, (void *)(uintptr_t)(object == NULL ? "" : object));
}
