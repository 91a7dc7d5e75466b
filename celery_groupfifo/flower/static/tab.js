/* The count of blocked groups on the Groups tab, on every page of Flower. */

(function () {
    "use strict";

    var badge = document.getElementById('gf-tab-blocked'), EVERY = 5000;

    function show(found) {
        badge.hidden = !found.blocked;
        badge.textContent = found.blocked ? found.blocked.toLocaleString() : '';
        badge.title = found.blocked ? found.blocked.toLocaleString() + (found.blocked === 1 ? ' group is' : ' groups are') +
            ' blocked by a failure' : '';
    }

    function look() {
        if (!document.hidden) {
            fetch(badge.dataset.url, {credentials: 'same-origin'}).then(function (reply) {
                return reply.ok ? reply.json() : {};  // a count that nobody can renew is not shown
            }).then(show, function () { show({}); });
        }
    }

    if (badge) {
        look();
        window.setInterval(look, EVERY);
        document.addEventListener('visibilitychange', look);
    }
}());
