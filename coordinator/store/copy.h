/* copy.h - a copy of a database in use, whole or not at all.
 *
 *     copy_database(db, "/home/ann/backup/coordinator.db", &e);
 *
 * What the connection sees now, as one file without a log beside it, checked (integrity_check) before it gets its name: new
 * file, sync, rename, sync of the folder. Others may write on; they are not waited for and not seen. For the files of store/.
 * Costs one pass over the database to copy and one to check.
 */
#ifndef COORDINATOR_STORE_COPY_H
#define COORDINATOR_STORE_COPY_H

#include "base/err.h"

#include <sqlite3.h>

enum code copy_database(sqlite3 *from, const char *to, struct err *e);

#endif
