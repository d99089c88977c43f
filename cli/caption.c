/* caption.c - who is asked. */
#include "cli/caption.h"

#include <string.h>

enum code caption_open(struct captioning *c, const struct caption_wish *w, struct err *e)
{
    *c = (struct captioning){0};
    if (w->command && w->endpoint)
        return err_set(e, ERR_USAGE,
                       "--caption-command and --caption-endpoint: one of them can be asked");
    if (w->command) return caption_command_open(c, w->command, e);
    return w->endpoint ? caption_endpoint_open(c, e) : OK;
}

const struct captioner *caption_captioner(const struct captioning *c)
{
    return c->captioner.ask ? &c->captioner : NULL;
}

void caption_close(struct captioning *c)
{
    if (c->close) c->close(c->captioner.self);
    *c = (struct captioning){0};
}
