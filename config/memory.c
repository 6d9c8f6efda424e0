#include "config/memory.h"

#include <stdlib.h>

void *memory_resize(void *block, size_t size)
{
    return realloc(block, size);
}
