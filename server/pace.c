#include "server/pace.h"

size_t pace_due(size_t total, int64_t elapsed, int64_t spread)
{
    if (elapsed >= spread)
        return total;
    if (elapsed < 0 || total == 0)
        return 0;
    size_t due = 1 + (size_t)((double)total * (double)elapsed / (double)spread);
    return due < total ? due : total;
}
