/* The pages about groups. Everything from outside goes through esc() or attr(), or into textContent: keys are customers' texts. */
/*global $, bootstrap, moment */

(function () {
    "use strict";

    var page = document.getElementById('gf');
    if (!page) {
        return;
    }
    var readOnly = page.dataset.readonly === '1', EVERY = 2000;
    var QUESTIONS = JSON.parse(page.dataset.questions);  // what is asked before each verb, see verbs.py
    var BADGES = {
        running: 'gf-state-running', waiting: 'text-bg-secondary', held: 'text-bg-warning',
        paused: 'text-bg-warning', blocked: 'text-bg-danger', draining: 'text-bg-info'
    };
    var MISSING = '<span class="value-missing">\u2014</span>';

    // -- texts ---------------------------------------------------------------

    function attr(value) {
        return String(value === null || value === undefined ? '' : value).replace(/&/g, '&amp;').replace(/</g, '&lt;')
            .replace(/>/g, '&gt;').replace(/"/g, '&quot;').replace(/'/g, '&#39;');
    }

    function escaped(sign) {
        var code = sign.codePointAt(0), hex = code.toString(16),
            short = {92: '\\\\', 10: '\\n', 13: '\\r', 9: '\\t'}[code];
        return short || (code < 256 ? '\\x' + hex.padStart(2, '0') : code < 65536 ? '\\u' + hex.padStart(4, '0') :
            '\\U' + hex.padStart(8, '0'));
    }

    function esc(value) {  // for texts; control characters might turn a line around, or show nothing
        return attr(value).replace(/(?![\n\t])[\p{C}\p{Zl}\p{Zp}]/gu, escaped);
    }

    function visible(text) {  // escapes what can't be seen, as http.py does, so that two keys never look the same
        return String(text).replace(/[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, escaped);
    }

    function inPath(key) {  // a browser would resolve these two
        return key === '.' || key === '..' ? '?key=' + key : encodeURIComponent(key);
    }

    function keyLink(key) {
        return '<a class="gf-key" href="' + esc(page.dataset.group + inPath(key)) + '" title="' + attr(key) + '">' +
            esc(visible(key)) + '</a>';
    }

    function taskLink(task) {
        return linkedTask(task, 36);
    }

    function linkedTask(task, most) {
        var id = String(task.task_id || task.id), text = esc(id.length > most ? id.slice(0, most) + '\u2026' : id);
        if (!task.known) {
            return '<span title="' + esc(id) + '">' + text + '</span>';
        }
        return '<a href="' + esc(page.dataset.prefix + '/task/' + encodeURIComponent(id)) + '" title="' + esc(id) + '">' +
            text + '</a>';
    }

    function namedTask(task) {
        return (task.task ? esc(task.task) + '<br>' : '') + '<span class="gf-id">' + taskLink(task) + '</span>';
    }

    function workerLink(name) {
        return name ? '<a href="' + esc(page.dataset.prefix + '/worker/' + encodeURIComponent(name)) + '">' + esc(name) +
            '</a>' : MISSING;
    }

    function badge(state) {
        return '<span class="badge ' + (BADGES[state] || 'text-bg-secondary') + '">' + esc(state) + '</span>';
    }

    function args(text) {
        return text ? '<span class="gf-args" title="' + esc(text) + '">' + esc(text) + '</span>' : MISSING;
    }

    function argumentsOf(task) {
        return [task.args, task.kwargs === '{}' ? '' : task.kwargs].filter(Boolean).join(' ');
    }

    function call(task) {
        return args(argumentsOf(task));
    }

    function plain(text) {
        return text === null || text === undefined || text === '' ? MISSING : esc(text);
    }

    function count(number, word) {
        return Number(number).toLocaleString() + ' ' + word + (number === 1 ? '' : 's');
    }

    function span(seconds) {
        if (seconds === null || seconds === undefined) {
            return '\u2014';
        }
        if (seconds < 60) {
            return (seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)) + ' s';
        }
        var minutes = Math.floor(seconds / 60), hours = Math.floor(seconds / 3600);
        if (hours < 1) {
            return minutes + ' min ' + Math.floor(seconds % 60) + ' s';
        }
        return hours < 24 ? hours + ' h ' + minutes % 60 + ' min' : Math.floor(hours / 24) + ' d ' + hours % 24 + ' h';
    }

    function when(time) {
        if (!time) {
            return MISSING;
        }
        var at = typeof time === 'number' ? moment.unix(time) : moment(time);
        return '<time datetime="' + at.toISOString() + '" title="' + at.fromNow() + '">' +
            at.format('[<span>]YYYY-MM-DD[</span> <span>]HH:mm:ss ') + zone(at) + '</span></time>';
    }

    function zone(at) {
        return 'UTC' + (at.utcOffset() ? at.format('Z') : '');
    }

    function leaseLeft(row) {
        if (row.lease_left === null) {
            return MISSING;
        }
        return esc(row.lease_left > 0 ? span(row.lease_left) + ' left' : 'over for ' + span(-row.lease_left));
    }

    // -- parts of every page ---------------------------------------------------

    function tell(good, text) {
        $('#gf-dot').toggleClass('status-dot-live', good).toggleClass('status-dot-error', !good);
        $('#gf-status').text(text);
    }

    function updated() {
        tell(true, 'Updated ' + moment().format('HH:mm:ss ') + zone(moment()));
        seen = moment();
        note('data', '');
    }

    function failed(reply) {
        if (reply.statusText === 'abort') {
            return;
        }
        tell(false, reply.status === 503 ? 'The gate is unavailable' : reply.status ? 'Refused (' + reply.status + ')' :
            'Flower is unreachable');
        note('data', reply.status === 503 ? 'The gate is unavailable. ' + reply.responseText :
            reply.status ? 'Flower refuses (' + reply.status + '). ' + (reply.responseText || '').slice(0, 300) :
                'Flower does not answer.');
    }

    // -- what may be wrong, and buttons that can't act -------------------------

    var ACTS = '[data-verb], [data-row-verb], [data-bulk], [data-task-verb], ' +
        '[data-letter], [data-letters], #gf-confirm-yes';
    var trouble = {gate: '', data: ''}, seen = null, looks = [];

    function note(kind, text) {  // why the page can't be trusted just now: what it shows turns grey, and no button acts
        var before = trouble.gate || trouble.data, now;
        trouble[kind] = text;
        now = trouble.gate || trouble.data;
        if (now !== before) {
            $('#gf-away').text(now && now + (seen ? ' What is shown is of ' + seen.format('HH:mm:ss ') + zone(seen) + '.' :
                '') + ' Buttons are disabled meanwhile.').toggleClass('d-none', !now);
            $('.gf-page').toggleClass('gf-old', !!now);
            if (now) {
                tell(false, kind === 'gate' ? 'The gate is unavailable' : $('#gf-status').text());
            }
            enable();
            if (!now && kind === 'gate') {
                looks.forEach(function (look) { look(); });
            }
        }
    }

    function enable() {  // a button says why it is disabled: because of the page, or by its own data-why
        var all = trouble.gate || trouble.data || page.dataset.barred;
        $(ACTS).each(function () {
            var why = all || this.dataset.why || '';
            if (why) {
                this.dataset.held = this.dataset.held || (this.disabled ? '' : '1');
                this.disabled = true;
                this.title = why;
            } else if (this.dataset.held) {
                this.disabled = false;
                this.title = '';
                delete this.dataset.held;
            }
        });
    }

    function because(button, why) {
        button.dataset.why = why || '';
        button.dataset.held = '1';
    }

    function watch() {  // asks every second whether the gate answers: data may take longer, or not be asked for
        var asking = false;
        function look() {
            if (asking || document.hidden) {
                return;
            }
            asking = true;
            $.ajax({
                url: page.dataset.base + '/alive', dataType: 'json', timeout: 2000,
                success: function (found) { note('gate', found.away && 'Redis does not answer. ' + found.away); },
                error: function (reply) {
                    note('gate', reply.status ? 'Flower refuses (' + reply.status + ').' : 'Flower does not answer.');
                },
                complete: function () { asking = false; }
            });
        }
        look();
        window.setInterval(look, 1000);
        document.addEventListener('visibilitychange', look);
    }

    function toast(text, good) {
        var box = $('<div class="toast align-items-center border-0" aria-atomic="true"><div class="d-flex">' +
            '<div class="toast-body"></div><button type="button" class="btn-close btn-close-white me-2 m-auto" ' +
            'data-bs-dismiss="toast" aria-label="Close"></button></div></div>');
        box.addClass(good ? 'text-bg-success' : 'text-bg-danger').attr('role', good ? 'status' : 'alert');
        box.find('.toast-body').text(text);
        $('#toast-container').append(box);
        box.on('hidden.bs.toast', function () { box.remove(); });
        bootstrap.Toast.getOrCreateInstance(box[0], {delay: good ? 5000 : 10000}).show();
    }

    function post(path, said, then) {
        $.ajax({
            type: 'POST', url: page.dataset.prefix + path, data: JSON.stringify(said), contentType: 'application/json',
            dataType: 'json',
            success: function (reply) { toast(reply.sentence, !reply.refused); then(); },
            error: function (reply) { toast(reply.responseText || 'Flower is unreachable', false); then(); }
        });
    }

    function confirmed(title, text, yes, danger, reason, then, more) {  // more: the `count` to type, `to`: another key, `limits` so far
        var box = $('#gf-confirm'), modal = bootstrap.Modal.getOrCreateInstance(box[0]), typed = $('#gf-count'),
            count = more && more.count, button = document.getElementById('gf-confirm-yes');
        $('#gf-confirm-title').text(title);
        $('#gf-confirm-text').text(text);
        $('#gf-confirm-reason').toggleClass('d-none', !reason);
        $('#gf-confirm-to').toggleClass('d-none', !(more && more.to));
        $('#gf-confirm-limits').toggleClass('d-none', !(more && more.limits));
        $('#gf-rate').val(more && more.limits && more.limits.rate || '');
        $('#gf-together').val(more && more.limits && more.limits.concurrency || '');
        $('#gf-expires').val('');
        $('#gf-confirm-count').toggleClass('d-none', !count);
        $('#gf-confirm-many').text(count || '');
        $('#gf-reason, #gf-to').val('');
        function check() {
            because(button, count && typed.val().replace(/\D/g, '') !== String(count) ? 'Type ' + count + ' first.' :
                more && more.to && !$('#gf-to').val() ? 'Give the key of the other group first.' : '');
            enable();
        }
        typed.val('');
        box.find('input').off('input').on('input', check);
        $(button).text(yes).toggleClass('btn-danger', danger).toggleClass('btn-primary', !danger);
        check();
        box.find('form').off('submit').on('submit', function (event) {
            event.preventDefault();
            if (!button.disabled) {
                modal.hide();
                then($('#gf-reason').val(), $('#gf-to').val());
            }
        });
        modal.show();
    }

    function numberIn(field) {  // what is no number goes to the gate as it is, which says what is wrong with it
        var text = $(field).val().trim();
        return text === '' ? null : isNaN(text) ? text : Number(text);
    }

    function confirmedVerb(verb, question, words, then, more) {  // the title is the question, the text what follows it
        var asked = QUESTIONS[verb], end = question.indexOf('? ') + 1;
        function filled(text) {
            return text.replace(/\{(\w+)\}/g, function (_, name) { return words[name]; });
        }
        confirmed(filled(question.slice(0, end)), filled(question.slice(end + 1)) + (words.more || ''),
            verb.charAt(0).toUpperCase() + verb.slice(1), asked.destroys, asked.reasoned, then, more);
    }

    function warn(queues, workers) {
        var text = '';
        if (workers === 0) {
            text = 'No worker answers: nobody takes tasks.';
        } else if (queues && queues.length) {
            text = 'Heads of groups wait in queues that no answering worker consumes: ' + queues.join(', ') + '.';
        }
        $('#gf-warning').text(text).toggleClass('d-none', !text);
    }

    function table(id, columns, rows, empty) {  // columns: [title, cell(row), class]
        var head = columns.map(function (column) { return '<th>' + esc(column[0]) + '</th>'; }).join(''),
            body = rows.map(function (row) {
                return '<tr>' + columns.map(function (column) {
                    return '<td class="' + (column[2] || '') + '" data-label="' + esc(column[0]) + '"><div>' + column[1](row) +
                        '</div></td>';
                }).join('') + '</tr>';
            }).join('');
        body = body || '<tr><td class="empty-table-message" colspan="' + columns.length + '">' + esc(empty) + '</td></tr>';
        var html = '<thead><tr>' + head + '</tr></thead><tbody>' + body + '</tbody>', element = $(id);
        if (element.data('html') !== html) {  // an unchanged table keeps its selection and focus
            element.data('html', html).html(html);
        }
        enable();
    }

    function poll(path, show) {
        function look() {
            $.ajax({
                url: path(), dataType: 'json', timeout: 15000,
                success: function (found) { show(found); updated(); enable(); },
                error: failed
            });
        }
        looks.push(look);
        look();
        if (page.dataset.refresh === '1') {
            window.setInterval(function () { if (!document.hidden) { look(); } }, EVERY);
        }
        return look;
    }

    function more(row) {  // `to` of a move is a key, of a redrive an end of the line
        var said = row.more || {}, words = Object.keys(said).map(function (name) {
            var text = esc(name === 'to' ? visible(said.to) : said[name]);
            return name === 'task_id' ? text : '<span class="gf-muted">' + esc(name.replace('_', ' ')) + '</span> ' + text;
        });
        return words.join(', ') || MISSING;
    }

    var HISTORY = [
        ['When', function (row) { return when(row.when); }],
        ['Who', function (row) { return esc(row.by); }, 'gf-wide'],
        ['What', function (row) { return esc(row.what); }],
        ['Group', function (row) { return row.key ? keyLink(row.key) : MISSING; }],
        ['Reason', function (row) { return plain(row.reason); }, 'gf-wide'],
        ['More', more, 'gf-wide']
    ];
    // -- dead letters ----------------------------------------------------------

    var CAUSES = {failed: 'text-bg-danger', dropped: 'text-bg-secondary'};

    function letterButtons(row) {
        function button(kind, to, label) {
            return '<button class="btn btn-sm btn-outline-' + kind + '" type="button" data-letter="' + esc(row.ref) +
                '" data-to="' + to + '" data-key="' + attr(row.key) + '" data-task="' + esc(row.task + '[' + row.id + ']') +
                '">' + label + '</button>';
        }
        if (readOnly) {
            return '';
        }
        return (row.readable ? button('primary', 'tail', 'To tail') + ' ' + button('primary', 'head', 'To head') + ' ' : '') +
            button('danger', '', 'Discard');
    }

    var LETTERS = [
        ['Task', taskLink],
        ['Name', function (row) { return plain(row.task); }],
        ['Group', function (row) { return keyLink(row.key); }],
        ['args', function (row) { return args(row.args); }],
        ['Why', function (row) { return plain(row.why); }, 'gf-wide'],
        ['When', function (row) { return when(row.when); }],
        ['', letterButtons]
    ];

    function letterActions(look) {
        $(document).on('click', '[data-letter]', function () {
            var data = this.dataset, key = "'" + visible(data.key) + "'";
            if (data.to) {
                confirmed('Redrive 1 task?', 'Task ' + data.task + ' joins the ' + data.to + ' of group ' + key + ' again.',
                    'Redrive', false, false, function () {
                        post('/api/groups/redrive', {refs: [data.letter], to: data.to}, look);
                    });
            } else {
                confirmed('Discard 1 task?', data.task + ', a dead letter of group ' + key + ". This can't be undone.",
                    'Discard', true, true, function (reason) {
                        post('/api/groups/discard', {refs: [data.letter], reason: reason}, look);
                    });
            }
        });
    }

    function letterCard(row) {
        var name = row.task ? esc(row.task) : 'unreadable', text = [row.reason, row.exception].filter(Boolean).join('; '),
            shown = [['args', row.args], ['kwargs', row.kwargs]].filter(function (pair) {
                return pair[1] && pair[1] !== '{}' && pair[1] !== '()';
            });
        return '<article class="gf-letter"><div class="gf-letter-task"><strong class="gf-letter-name">' + name +
            '</strong><span class="gf-letter-id">' + taskLink(row) + '</span><span class="gf-letter-group">' +
            keyLink(row.key) + '</span><span class="gf-muted">' + when(row.when) + (row.by ? ' by ' + esc(row.by) : '') +
            '</span></div><div class="gf-letter-why"><p class="gf-letter-text"><span class="badge ' +
            (CAUSES[row.cause] || 'text-bg-warning') + '">' + esc(row.cause) + '</span> ' + esc(text) + '</p>' +
            shown.map(function (pair) {
                return '<p class="gf-letter-args"><span class="gf-muted">' + pair[0] + '</span> ' + esc(pair[1]) + '</p>';
            }).join('') + (row.traceback ? '<details data-open="' + esc(row.ref) + '"><summary>Traceback</summary><pre>' +
            esc(row.traceback) + '</pre></details>' : '') + '</div><div class="gf-letter-buttons">' + letterButtons(row) +
            '</div></article>';
    }

    // -- all groups ------------------------------------------------------------

    function chart(points) {
        var svg = document.getElementById('gf-chart'), most = 1, line;
        points.forEach(function (point) { most = Math.max(most, point[1]); });
        line = points.map(function (point, at) {
            return (points.length < 2 ? 0 : at * 120 / (points.length - 1)).toFixed(1) + ',' +
                (31 - 29 * point[1] / most).toFixed(1);
        }).join(' ');
        svg.innerHTML = points.length > 1 ? '<polyline points="' + line + '"></polyline>' : '';
    }

    function summary(said) {
        var states = said.states || {}, counted = said.states !== null;  // of many groups they come a little later
        $('#gf-m-groups').text(said.groups.toLocaleString());
        $('#gf-m-running').text(said.running.toLocaleString());
        $('#gf-m-parked').text(said.parked.toLocaleString());
        $('#gf-m-stopped').text(counted ? ((states.paused || 0) + (states.blocked || 0)).toLocaleString() : '\u2026');
        $('#gf-m-oldest').text(span(said.oldest_age));
        $('#gf-m-rate').text(said.throughput.now === null ? '\u2014' : Math.round(said.throughput.now).toLocaleString());
        chart(said.throughput.points);
        $('[data-count]').each(function () { $(this).text(counted ? states[this.dataset.count] || 0 : '\u2026'); });
        warn(said.unconsumed_queues, said.workers);
    }

    // Of a group in the list: a batch has a hundred runs. The group's page has them all.
    var RUNS_SHOWN = 3;

    var COLUMNS = [
        {title: '', sort: 'key', orderable: false, cell: function (row) {
            return '<input class="form-check-input" type="checkbox" data-choose="' + attr(row.key) +
                '" aria-label="Select group ' + esc(visible(row.key)) + '">';
        }},
        {title: 'Group', sort: 'key', cell: function (row) { return keyLink(row.key); }},
        {title: 'State', sort: 'state', cell: function (row) { return badge(row.state); }},
        {title: 'Depth', sort: 'depth', class: 'text-center', cell: function (row) { return row.depth.toLocaleString(); }},
        {title: 'Running', sort: 'worker', cell: function (row) {
            var others = row.running.length - RUNS_SHOWN, runs = row.running.slice(0, RUNS_SHOWN).map(function (run) {
                return (run.task ? esc(run.task) + ' ' : '') + linkedTask(run, 8) + ' on ' + workerLink(run.worker);
            });
            return runs.concat(others > 0 ? ['and ' + others.toLocaleString() + ' more'] : []).join('<br>') || MISSING;
        }},
        {title: 'Oldest', sort: 'age', class: 'text-nowrap', cell: function (row) { return esc(span(row.oldest_age)); }},
        {title: 'Succeeded', sort: 'succeeded', class: 'text-center', cell: function (row) {
            return row.succeeded.toLocaleString();
        }},
        {title: 'Failed', sort: 'failed', class: 'text-center', cell: function (row) { return row.failed.toLocaleString(); }},
        {title: 'Reason or error', sort: 'key', orderable: false, cell: function (row) {
            var text = row.last_error || row.reason;
            return text ? '<span class="gf-why" title="' + esc(text) + '">' + esc(text) + '</span>' : MISSING;
        }},
        {title: '', sort: 'key', orderable: false, class: 'text-end', cell: function (row) {
            var verb = {paused: 'resume', draining: 'resume', blocked: 'retry'}[row.state] || 'pause';
            return readOnly ? '' : '<button class="btn btn-sm btn-outline-primary" type="button" data-row-verb="' + verb +
                '" data-key="' + attr(row.key) + '">' + verb.charAt(0).toUpperCase() + verb.slice(1) + '</button>';
        }}
    ];

    function observedTable() {
        function counted(name) {
            return function (row) { return esc(row[name].toLocaleString()); };
        }
        function lastOf(row) {
            var said = ['overlaps', 'overtaken', 'late_retries', 'not_counted'].map(function (kind) {
                return row.last[kind];
            }).filter(Boolean).sort(function (one, other) { return one.when < other.when ? 1 : -1; })[0];
            return said ? esc(said.task) + ' ' + linkedTask(said, 8) + ', ' + when(said.when) : MISSING;
        }
        poll(function () { return page.dataset.base + '/observed'; }, function (found) {
            var report = found.report;
            table('#gf-t-observed', [
                ['Group', function (row) { return keyLink(row.key); }, 'gf-wide'],
                ['Runs', counted('runs')], ['Overlaps', counted('overlaps')], ['Overtaken', counted('overtaken')],
                ['Late retries', counted('late_retries')], ['Not counted', counted('not_counted')],
                ['Last breach', lastOf, 'gf-wide']
            ], report.groups, 'Nothing was observed so far.');
            $('#gf-observed-total').text(!report.since ? '' : 'In all ' + count(report.runs, 'run') + ' of ' +
                count(report.observed_groups, 'group') + ', ' + report.broken_groups.toLocaleString() +
                ' of them broken: ' + count(report.overlaps, 'overlap') + ', ' + report.overtaken.toLocaleString() +
                ' overtaken, ' + report.late_retries.toLocaleString() + ' late retries.');
        });
    }

    function groupsPage() {
        var state = '', last = {}, chosen = new Map(), everything = false, grid;

        function choice() {  // shows what is selected, and what may be done to it
            var many = last.recordsFiltered || 0, number = everything ? many : chosen.size;
            $('#gf-bulk-count').text(many.toLocaleString());
            $('#gf-chosen').text(number ? (everything ? 'All ' : '') + count(number, 'group') + ' selected' :
                'Nothing selected');
            $('[data-choose]').each(function () {
                this.checked = everything || chosen.has(this.dataset.choose);
                this.disabled = everything;
            });
            $('[data-bulk]').each(function () { because(this, number ? '' : 'Select groups first.'); });
            enable();
        }

        function choose(rows) {
            everything = false;
            rows.forEach(function (row) { chosen.set(row.key, row); });
            choice();
        }

        function none() {
            everything = false;
            chosen.clear();
            choice();
        }

        grid = $('#gf-table').DataTable({
            rowId: function () { return ''; }, serverSide: true, processing: false, searching: true, searchDelay: 300,
            autoWidth: false, dom: "frt<'dt-footer'lip>", lengthMenu: [15, 30, 50, 100], pageLength: 15,
            order: [[3, 'desc']],
            language: {
                lengthMenu: '_MENU_', info: 'Showing _START_ to _END_ of _TOTAL_ groups', infoEmpty: 'No groups to show',
                infoFiltered: '(filtered from _MAX_ total groups)',
                search: '<span class="visually-hidden">Search groups</span>',
                searchPlaceholder: 'part of a key or worker, or the id of a task',
                emptyTable: 'No group holds a task.', zeroRecords: 'No groups match your search.'
            },
            ajax: {
                type: 'GET', url: page.dataset.base + '/data', timeout: 15000,
                data: function (asked) {  // only the parameters that our handler reads, for a short URL
                    return {
                        draw: asked.draw, start: asked.start, length: asked.length, state: state,
                        search: asked.search.value, sort: COLUMNS[asked.order[0].column].sort, order: asked.order[0].dir
                    };
                },
                dataSrc: function (found) {
                    last = found;
                    found.data.forEach(function (row) {
                        if (chosen.has(row.key)) {
                            chosen.set(row.key, row);
                        }
                    });
                    summary(found.summary);
                    updated();
                    return found.data;
                },
                error: failed
            },
            drawCallback: choice,
            columns: COLUMNS.map(function (column) {
                return {
                    data: null, orderable: column.orderable !== false, className: column.class || '',
                    render: function (_, type, row) { return '<div>' + column.cell(row) + '</div>'; },
                    createdCell: function (cell) { cell.dataset.label = column.title; }
                };
            })
        });

        if (document.getElementById('gf-t-observed')) {
            observedTable();
        }
        function again() { grid.ajax.reload(null, false); }
        looks.push(again);
        $.fn.dataTable.ext.errMode = 'none';
        $('#gf-table_length select').attr('aria-label', 'Groups per page');
        $('[data-state]').on('click', function () {
            state = this.dataset.state;
            $('[data-state]').each(function () {
                $(this).toggleClass('active', this.dataset.state === state)
                    .attr('aria-pressed', this.dataset.state === state);
            });
            none();
            grid.ajax.reload();
        });
        $('#gf-table_filter input').on('input', none);
        $('#gf-table').on('change', '[data-choose]', function () {
            var key = this.dataset.choose;
            if (this.checked) {
                choose(last.data.filter(function (row) { return row.key === key; }));
            } else {
                chosen.delete(key);
                choice();
            }
        });
        $('#gf-choose-page').on('click', function () { choose(last.data || []); });
        $('#gf-choose-all').on('click', function () {
            none();
            everything = (last.recordsFiltered || 0) > 0;
            choice();
        });
        $('#gf-choose-none').on('click', none);
        $('#gf-table').on('click', '[data-row-verb]', function () {
            post('/api/group/' + this.dataset.rowVerb + '/' + inPath(this.dataset.key), {}, again);
        });
        $('[data-bulk]').on('click', function () {
            var verb = this.dataset.bulk, rows = Array.from(chosen.values()), search = grid.search(),
                many = everything ? last.recordsFiltered : rows.length, depth = everything ? last.depth : 0,
                running = everything ? last.running : 0,
                said = everything ? {search: search, state: state, count: many} : {keys: Array.from(chosen.keys())}, words;
            if (!everything) {
                rows.forEach(function (row) { depth += row.depth; running += row.running.length; });
            }
            words = {
                groups: count(many, 'group'), depth: count(depth, 'task'), not_running: count(depth - running, 'task'),
                more: '\nSelection: ' + (everything ? [state, search].filter(Boolean).join(', ') || 'all groups' :
                    rows.slice(0, 5).map(function (row) { return visible(row.key); }).join(', ') +
                    (many > 5 ? ' and ' + count(many - 5, 'more group') : '')) + '.'
            };
            confirmedVerb(verb, QUESTIONS[verb].many, words, function (reason) {
                said.reason = reason;
                post('/api/groups/' + verb, said, function () {
                    none();
                    again();
                });
            }, {count: everything || QUESTIONS[verb].destroys ? many : 0});
        });
        if (page.dataset.refresh === '1') {
            window.setInterval(function () { if (!document.hidden) { again(); } }, EVERY);
        }
    }

    // -- one group -------------------------------------------------------------

    function about(found) {  // the sentence has all reasons and errors, so nothing here says them again
        var group = found.group, rows = [['Why', esc(found.sentence)]], html;
        if (group) {
            rows.push(['State', badge(group.state)]);
            rows.push(['Depth', count(group.depth, 'task')]);
            rows.push(['Oldest waits for', esc(span(group.oldest_age))]);
        }
        if (found.head) {
            rows.push(['Head', taskLink(found.head) + ' ' + esc(found.head.task || '') +
                (found.head.due ? ', due ' + when(found.head.due) : '')]);
            rows.push(['Arguments', '<code class="gf-code">' + (esc(argumentsOf(found.head)) || MISSING) + '</code>']);
            if (found.head.traceback) {
                rows.push(['Traceback', '<pre class="gf-traceback">' + esc(found.head.traceback) + '</pre>']);
            }
        }
        rows.push(['Since Flower started', esc(found.succeeded.toLocaleString() + ' succeeded, ' + found.failed.toLocaleString() +
            ' failed')]);
        html = rows.map(function (row) {
            return '<div class="detail-row"><dt>' + row[0] + '</dt><dd>' + row[1] + '</dd></div>';
        }).join('');
        if ($('#gf-about').data('html') !== html) {
            $('#gf-about').data('html', html).html(html);
        }
    }

    function fence(run) {
        return '<span class="gf-id">' + esc(run.fence) + '</span>';
    }

    function attempt(run) {
        return plain(run.attempt) + (run.lost ? '<br><span class="gf-id">' + count(run.lost, 'worker') + ' lost</span>' : '');
    }

    function taskVerb(verb) {
        return function (row) {
            return readOnly ? '' : '<button class="btn btn-sm btn-outline-danger" type="button" data-task-verb="' + verb +
                '" data-id="' + attr(row.task_id) + '">' + verb.charAt(0).toUpperCase() + verb.slice(1) + '</button>';
        };
    }

    function lists(found) {
        var blocks = found.head && found.group.state === 'blocked' ? found.head.task_id : '',
            failures = found.failures.filter(function (row) { return row.task_id !== blocks; });  // it is told above
        table('#gf-t-running', [
            ['Task', namedTask], ['Arguments', call], ['Worker', function (row) { return workerLink(row.worker); }, 'gf-wide'],
            ['Lease', function (row) { return leaseLeft(row) + '<br>since ' + when(row.since); }],
            ['Fence', fence], ['Attempt', attempt], ['', taskVerb('terminate')]
        ], found.running, 'Nothing runs.');
        table('#gf-t-tasks', [
            ['Place', function (row) { return esc(row.place); }], ['Task', namedTask], ['Arguments', call],
            ['Waits for', function (row) { return esc(span(row.age)); }],
            ['Retries', function (row) { return esc(row.retries); }], ['', taskVerb('revoke')]
        ], found.tasks, 'No task is in line here.');
        table('#gf-t-scheduled', [
            ['Task', taskLink], ['Due', function (row) { return when(row.due); }],
            ['Order value', function (row) { return row.order_value === null ? '' : esc(row.order_value); }],
            ['', taskVerb('revoke')]
        ], found.scheduled, 'None.');
        table('#gf-t-failures', [
            ['Task', namedTask], ['Error', function (row) { return plain(row.exception); }, 'gf-wide'],
            ['Worker', function (row) { return workerLink(row.worker); }], ['When', function (row) { return when(row.when); }]
        ], failures, 'None.');
        table('#gf-t-letters', LETTERS, found.dead_letters, 'None.');
        table('#gf-t-history', HISTORY, found.actions, 'No action on this group is known.');
        ['scheduled', 'failures', 'letters'].forEach(function (name) {
            var rows = {scheduled: found.scheduled, failures: failures, letters: found.dead_letters}[name];
            $('#gf-s-' + name).toggleClass('d-none', !rows.length);
        });
    }

    function groupPage(box) {
        var key = box.dataset.key, last = {}, from = 0, look;

        function buttons(found) {
            var group = found.group, state = group ? group.state : '', runs = found.running.length > 0,
                head = runs ? 'Its head runs: terminate it instead.' : group && group.head ? '' : 'Nothing is in line.',
                why = {
                    pause: state === 'paused' && 'It is paused already.',
                    resume: state !== 'paused' && state !== 'draining' && 'It is neither paused nor draining.',
                    retry: state !== 'held' && state !== 'blocked' && 'Its head waits for no retry, and blocks nothing.',
                    drain: state === 'draining' ? 'It is draining already.' : group && !group.depth && 'It holds no task.',
                    skip: head, drop: head,
                    move: !found.tasks.length && from === 0 && 'No task is in line behind the head.',
                    purge: !!group && group.depth <= found.running.length && 'It holds no task that does not run.'
                }, said = [];
            $('#gf-actions [data-verb]').each(function () {
                var text = group ? why[this.dataset.verb] || '' : 'The group holds no task.';
                because(this, text);
                if (group && text) {
                    said.push(this.textContent.trim() + ': ' + text);
                }
            });
            $('#gf-whys').text(group ? said.join(' ') : 'The group holds no task.');
            enable();
        }

        function words(task) {
            var group = last.group, notRunning = group ? group.depth - last.running.length : 0, id = task && task.task_id,
                said = task && argumentsOf(task);
            return {
                key: "'" + visible(key) + "'", head: task && task.task ? task.task + '[' + id + ']' : id,
                depth: count(group ? group.depth : 0, 'task'), not_running: count(notRunning, 'task'),
                behind: count(Math.max(notRunning - 1, 0), 'task'),
                more: said ? '\nArguments: ' + said : ''
            };
        }

        look = poll(function () {
            return page.dataset.base + '/group/' + box.dataset.path + (box.dataset.path[0] === '?' ? '&' : '?') +
                'offset=' + from;
        }, function (found) {
            last = found;
            about(found);
            lists(found);
            buttons(found);
            $('#gf-more').prop('disabled', found.tasks.length < 50);
            $('#gf-first').prop('disabled', from === 0);
        });
        $('#gf-more').on('click', function () { from = last.tasks[last.tasks.length - 1].place + 1; look(); });
        $('#gf-first').on('click', function () { from = 0; look(); });
        letterActions(look);
        $('#gf-actions').on('click', '[data-verb]', function () {
            var verb = this.dataset.verb, head = last.group && last.group.head, said = {}, asked = QUESTIONS[verb];
            function go(reason, to) {
                said.reason = reason || '';
                if (asked.to) {
                    said.to = to;
                }
                if (asked.limits) {
                    said.rate = $('#gf-rate').val();
                    said.concurrency = numberIn('#gf-together');
                    said.expires_in = numberIn('#gf-expires');
                }
                post('/api/group/' + verb + '/' + box.dataset.path, said, look);
            }
            if (asked.on_head) {
                said.expected = head;
            }
            if (asked.one) {
                confirmedVerb(verb, asked.one, words(asked.on_head ? last.head || {task_id: head} : null), go,
                    {to: asked.to, limits: asked.limits && (last.group && last.group.limit || {})});
            } else {
                go('');
            }
        });
        $(document).on('click', '[data-task-verb]', function () {
            var verb = this.dataset.taskVerb, id = this.dataset.id, tasks = last.running.concat(last.tasks, last.scheduled),
                task = tasks.filter(function (each) { return each.task_id === id; })[0] || {task_id: id};
            confirmedVerb(verb, QUESTIONS[verb].one, words(task), function (reason) {
                post('/api/groups/' + verb, {id: id, reason: reason}, look);
            });
        });
    }

    // -- other pages ------------------------------------------------------------

    function lettersPage() {
        var form = document.getElementById('gf-letters-filters'), list = $('#gf-t-letters'), cause = '', before = [],
            cursor = '', older = null, later, look;

        function selection() {
            var found = {cause: cause};
            $(form).serializeArray().forEach(function (field) { found[field.name] = field.value; });
            return found;
        }

        function isAll(found) {
            return Object.keys(found).every(function (name) { return !found[name]; });
        }

        function address(more) {
            return page.dataset.base + '/dead-letters/data?' + $.param($.extend(selection(), more));
        }

        function options(id, values) {
            $(id).html(Array.from(new Set(values)).filter(Boolean).map(function (value) {
                return '<option value="' + attr(value) + '"></option>';
            }).join(''));
        }

        function show(found) {
            var rows = found.dead_letters, all = isAll(selection()), open = list.find('details[open]').map(function () {
                return this.dataset.open;
            }).get(), html = rows.map(letterCard).join('') || '<p class="empty-table-message gf-letters-none">' +
                (all ? 'No task was set aside.' : found.cursor ? 'None here; older ones may match.' :
                    'No dead letter matches.') + '</p>';
            if (list.data('html') !== html) {
                list.data('html', html).html(html);
                list.find('details').each(function () { this.open = open.indexOf(this.dataset.open) >= 0; });
                options('#gf-letters-keys', rows.map(function (row) { return row.key; }));
                options('#gf-letters-tasks', rows.map(function (row) { return row.task; }));
            }
            older = found.cursor;
            $('#gf-older').prop('disabled', older === null);
            $('#gf-newer').prop('disabled', !before.length);
            $('[data-letters]').each(function () { because(this, found.total ? '' : 'There are no dead letters.'); });
            $('#gf-letters-label').text(all ? 'All dead letters:' : 'All dead letters of this selection:');
            $('#gf-total').text('Showing ' + rows.length + (all ? ' of ' : '; there are ') +
                count(found.total, 'dead letter') + (all ? '' : ' in all') + '.');
        }

        function from(place) {
            cursor = place;
            look();
        }

        function restart() {
            before = [];
            from('');
        }

        look = poll(function () { return address({limit: 25, cursor: cursor}); }, show);
        letterActions(look);
        $('#gf-older').on('click', function () { before.push(cursor); from(older); });
        $('#gf-newer').on('click', function () { from(before.pop()); });
        $(form).on('submit', function (event) { event.preventDefault(); restart(); });
        $(form).on('input', function () { window.clearTimeout(later); later = window.setTimeout(restart, 300); });
        $('[data-cause]').on('click', function () {
            cause = this.dataset.cause;
            $('[data-cause]').each(function () {
                $(this).toggleClass('active', this.dataset.cause === cause)
                    .attr('aria-pressed', this.dataset.cause === cause);
            });
            restart();
        });
        $('[data-letters]').on('click', function () {
            var verb = this.dataset.letters, chosen = selection(), discards = verb === 'discard',
                words = Object.keys(chosen).filter(function (name) { return chosen[name]; }).map(function (name) {
                    return name.replace('_', ' ') + ' ' + visible(chosen[name]) + (name === 'older_than' ? ' s' : '');
                }).join(', ') || 'all dead letters';
            $.ajax({url: address({limit: 1, count: 1}), dataType: 'json', error: failed, success: function (found) {
                var many = found.matched;
                confirmed((discards ? 'Discard ' : 'Redrive ') + count(many, 'task') + '?', (discards ?
                    "They are removed for good. This can't be undone." :
                    'They join the tails of their groups again, in the order in which they were set aside.') +
                    '\nSelection: ' + words + '.', (discards ? 'Discard ' : 'Redrive ') + count(many, 'task'), discards,
                discards, function (reason) {
                    post('/api/groups/' + verb, {selection: chosen, count: many, reason: reason, to: 'tail'}, restart);
                });
            }});
        });
    }

    function workersPage() {
        poll(function () { return page.dataset.base + '/workers/data'; }, function (found) {
            warn(found.unconsumed_queues, found.workers.filter(function (worker) { return worker.answers; }).length);
            if (found.error) {
                $('#gf-warning').text('The workers could not be asked: ' + found.error);
            }
            table('#gf-t-workers', [
                ['Worker', function (row) { return row.known ? workerLink(row.name) : esc(row.name); }],
                ['Answers', function (row) {
                    return row.answers ? '<span class="badge bg-success">yes</span>' : row.answers === null ? 'not known' :
                        '<span class="badge bg-danger">silent</span> since ' + when(row.renewed) + ' at the latest';
                }],
                ['Runs', function (row) { return esc(row.leases); }],
                ['Lease', leaseLeft],
                ['Queues', function (row) { return plain(row.queues.join(', ')); }, 'gf-wide']
            ], found.workers, 'No worker answers, and none has a lease.');
            table('#gf-t-leases', [
                ['Group', function (row) { return keyLink(row.key); }], ['Task', namedTask],
                ['Worker', function (row) { return workerLink(row.worker); }, 'gf-wide'],
                ['Fence', fence], ['Since', function (row) { return when(row.since); }],
                ['Lease', leaseLeft]
            ], found.leases, 'No worker holds a lease.');
            $('#gf-total').text('Showing ' + found.leases.length + ' of ' + count(found.total, 'lease') + '.');
        });
    }

    function actionsPage() {
        poll(function () { return page.dataset.base + '/actions/data'; }, function (found) {
            table('#gf-t-history', HISTORY, found.actions, 'Nobody has done anything yet.');
        });
    }

    $(document).ready(function () {
        watch();
        var pages = {groups: groupsPage, group: groupPage, letters: lettersPage, workers: workersPage, actions: actionsPage};
        Object.keys(pages).forEach(function (name) {
            var box = document.getElementById('gf-' + name);
            if (box) {
                pages[name](box);
            }
        });
    });
}());
