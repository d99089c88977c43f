/* debug.h - `engram debug PART`: one piece of a model, run on tensors from a file. argv[0] is the verb. Returns an exit
 * status (base/err.h). */
#ifndef CLI_DEBUG_H
#define CLI_DEBUG_H

int verb_debug(int argc, char **argv);

#endif
