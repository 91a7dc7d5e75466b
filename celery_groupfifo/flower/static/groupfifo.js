/* The pages about groups. Everything from outside goes through esc() or into textContent: keys are customers' texts. */
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

    function esc(value) {
        return String(value === null || value === undefined ? '' : value).replace(/&/g, '&amp;').replace(/</g, '&lt;')
            .replace(/>/g, '&gt;').replace(/"/g, '&quot;').replace(/'/g, '&#39;');
    }

    function visible(text) {  // shows line breaks and controls, so that two keys never look the same
        return String(text).replace(/\n/g, '\u21b5').replace(/[\u0000-\u001f\u007f]/g, '\ufffd');
    }

    function inPath(key) {  // a browser would resolve these two
        return key === '.' || key === '..' ? '?key=' + key : encodeURIComponent(key);
    }

    function keyLink(key) {
        return '<a class="gf-key" href="' + esc(page.dataset.group + inPath(key)) + '" title="' + esc(key) + '">' +
            esc(visible(key)) + '</a>';
    }

    function taskLink(task) {
        var id = String(task.task_id || task.id);
        if (!task.known) {
            return '<span title="' + esc(id) + '">' + esc(id.slice(0, 36)) + '</span>';
        }
        return '<a href="' + esc(page.dataset.prefix + '/task/' + encodeURIComponent(id)) + '" title="' + esc(id) + '">' +
            esc(id.slice(0, 36)) + '</a>';
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
            at.format('YYYY-MM-DD HH:mm:ss') + '</time>';
    }

    // -- parts of every page ---------------------------------------------------

    function tell(good, text) {
        $('#gf-dot').toggleClass('status-dot-live', good).toggleClass('status-dot-error', !good);
        $('#gf-status').text(text);
    }

    function updated() {
        tell(true, 'Updated ' + moment().format('HH:mm:ss'));
    }

    function failed(reply) {
        tell(false, reply.status === 503 ? 'The gate is unavailable' : reply.status ? 'Refused (' + reply.status + ')' :
            'Flower is unreachable');
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

    function confirmed(title, text, yes, danger, reason, then) {
        var box = $('#gf-confirm'), modal = bootstrap.Modal.getOrCreateInstance(box[0]);
        $('#gf-confirm-title').text(title);
        $('#gf-confirm-text').text(text);
        $('#gf-confirm-reason').toggleClass('d-none', !reason);
        $('#gf-reason').val('');
        $('#gf-confirm-yes').text(yes).toggleClass('btn-danger', danger).toggleClass('btn-primary', !danger);
        box.find('form').off('submit').on('submit', function (event) {
            event.preventDefault();
            modal.hide();
            then($('#gf-reason').val());
        });
        modal.show();
    }

    function confirmedVerb(verb, question, words, then) {  // the question is the title, what stands behind it the text
        var asked = QUESTIONS[verb], end = question.indexOf('? ') + 1;
        function filled(text) {
            return text.replace(/\{(\w+)\}/g, function (_, name) { return words[name]; });
        }
        confirmed(filled(question.slice(0, end)), filled(question.slice(end + 1)),
            verb.charAt(0).toUpperCase() + verb.slice(1), asked.destroys, asked.reasoned, then);
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
                    return '<td class="' + (column[2] || '') + '">' + column[1](row) + '</td>';
                }).join('') + '</tr>';
            }).join('');
        body = body || '<tr><td class="empty-table-message" colspan="' + columns.length + '">' + esc(empty) + '</td></tr>';
        var html = '<thead><tr>' + head + '</tr></thead><tbody>' + body + '</tbody>', element = $(id);
        if (element.data('html') !== html) {  // an unchanged table keeps its selection and focus
            element.data('html', html).html(html);
        }
    }

    function poll(path, show) {
        function look() {
            $.ajax({
                url: path(), dataType: 'json', timeout: 15000,
                success: function (found) { show(found); updated(); },
                error: failed
            });
        }
        look();
        if (page.dataset.refresh === '1') {
            window.setInterval(function () { if (!document.hidden) { look(); } }, EVERY);
        }
        return look;
    }

    var HISTORY = [
        ['When', function (row) { return when(row.when); }],
        ['Who', function (row) { return esc(row.by); }],
        ['What', function (row) { return esc(row.what); }],
        ['Group', function (row) { return row.key ? keyLink(row.key) : MISSING; }],
        ['Reason', function (row) { return plain(row.reason); }, 'gf-wide'],
        ['Task', function (row) { return plain((row.more || {}).task_id); }]
    ];
    var LETTERS = [
        ['Task', taskLink],
        ['Name', function (row) { return plain(row.task); }],
        ['Group', function (row) { return keyLink(row.key); }],
        ['args', function (row) { return args(row.args); }],
        ['Why', function (row) { return plain(row.exception); }, 'gf-wide'],
        ['When', function (row) { return when(row.when); }],
        ['', function (row) {
            if (readOnly || !row.readable) {
                return '';
            }
            return ['tail', 'head'].map(function (to) {
                return '<button class="btn btn-sm btn-outline-primary" type="button" data-redrive="' + esc(row.id) +
                    '" data-to="' + to + '" data-key="' + esc(row.key) + '">To ' + to + '</button>';
            }).join(' ');
        }]
    ];

    function redrives(look) {
        $(document).on('click', '[data-redrive]', function () {
            var button = this.dataset;
            confirmed('Redrive 1 task', 'Task ' + button.redrive + ' joins the ' + button.to + ' of group ' +
                visible(button.key) + ' again.', 'Redrive', false, false, function () {
                post('/api/groups/redrive', {id: button.redrive, to: button.to}, look);
            });
        });
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
        var states = said.states || {};
        $('#gf-m-groups').text(said.groups.toLocaleString());
        $('#gf-m-running').text(said.running.toLocaleString());
        $('#gf-m-parked').text(said.parked.toLocaleString());
        $('#gf-m-stopped').text(((states.paused || 0) + (states.blocked || 0)).toLocaleString());
        $('#gf-m-oldest').text(span(said.oldest_age));
        $('#gf-m-rate').text(said.throughput.now === null ? '\u2014' : Math.round(said.throughput.now).toLocaleString());
        chart(said.throughput.points);
        $('[data-count]').each(function () { $(this).text(states[this.dataset.count] || 0); });
        warn(said.unconsumed_queues, said.workers);
    }

    function groupsPage() {
        var state = '', last = {}, grid = $('#gf-table').DataTable({
            rowId: function () { return ''; }, serverSide: true, processing: false, searching: true, searchDelay: 300,
            scrollX: true, scrollCollapse: true, autoWidth: false, dom: "frt<'dt-footer'lip>",
            lengthMenu: [15, 30, 50, 100], pageLength: 15, order: [[2, 'desc']],
            language: {
                lengthMenu: '_MENU_', info: 'Showing _START_ to _END_ of _TOTAL_ groups', infoEmpty: 'No groups to show',
                infoFiltered: '(filtered from _MAX_ total groups)',
                search: '<span class="visually-hidden">Search groups</span>',
                searchPlaceholder: 'part of a key, a worker or the id of a running task',
                emptyTable: 'No group holds a task.', zeroRecords: 'No groups match your search.'
            },
            ajax: {
                type: 'GET', url: page.dataset.base + '/data',
                data: function (asked) {  // only the parameters that our handler reads, for a short URL
                    return {
                        draw: asked.draw, start: asked.start, length: asked.length, state: state,
                        'search[value]': asked.search.value, 'order[0][column]': asked.order[0].column,
                        'order[0][dir]': asked.order[0].dir
                    };
                },
                dataSrc: function (found) {
                    last = found;
                    summary(found.summary);
                    $('#gf-bulk-count').text(found.recordsFiltered.toLocaleString());
                    updated();
                    return found.data;
                },
                error: failed
            },
            columns: [
                {data: 'key', render: keyLink},
                {data: 'state', className: 'text-center', render: function (_, type, row) {
                    return '<span title="' + esc(row.reason) + '">' + badge(row.state) + '</span>';
                }},
                {data: 'depth', className: 'text-center', render: function (depth) { return depth.toLocaleString(); }},
                {data: 'running', className: 'text-nowrap', orderable: false, render: function (running) {
                    return running.map(function (run) {
                        return (run.task ? esc(run.task) + ' ' : '') + taskLink({task_id: run.task_id, known: run.known});
                    }).join('<br>') || MISSING;
                }},
                {data: 'running', className: 'text-nowrap', render: function (running) {
                    return running.map(function (run) { return workerLink(run.worker); }).join('<br>') || MISSING;
                }},
                {data: 'oldest_age', className: 'text-center text-nowrap', render: span},
                {data: 'succeeded', className: 'text-center', render: function (many) { return many.toLocaleString(); }},
                {data: 'failed', className: 'text-center', render: function (many) { return many.toLocaleString(); }},
                {data: null, orderable: false, className: 'text-nowrap text-end', render: function (_, type, row) {
                    if (readOnly) {
                        return '';
                    }
                    var verb = row.state === 'paused' || row.state === 'draining' ? 'resume' : 'pause';
                    return '<button class="btn btn-sm btn-outline-primary" type="button" data-row-verb="' + verb +
                        '" data-key="' + esc(row.key) + '">' + (verb === 'pause' ? 'Pause' : 'Resume') + '</button>';
                }}
            ]
        });

        function again() { grid.ajax.reload(null, false); }
        $.fn.dataTable.ext.errMode = 'none';
        $('#gf-table_length select').attr('aria-label', 'Groups per page');
        $('[data-state]').on('click', function () {
            state = this.dataset.state;
            $('[data-state]').each(function () {
                $(this).toggleClass('active', this.dataset.state === state)
                    .attr('aria-pressed', this.dataset.state === state);
            });
            grid.ajax.reload();
        });
        $('#gf-table').on('click', '[data-row-verb]', function () {
            post('/api/group/' + this.dataset.rowVerb + '/' + inPath(this.dataset.key), {}, again);
        });
        $('[data-bulk]').on('click', function () {
            var verb = this.dataset.bulk, many = last.recordsFiltered || 0, search = grid.search(),
                said = {search: search, state: state, count: many},
                words = {
                    groups: count(many, 'group'), depth: count(last.depth || 0, 'task'),
                    not_running: count(last.depth - last.running || 0, 'task'),
                    selection: [state, search].filter(Boolean).join(', ') || 'all groups'
                };
            confirmedVerb(verb, QUESTIONS[verb].many + '\nSelection: {selection}.', words, function (reason) {
                said.reason = reason;
                post('/api/groups/' + verb, said, again);
            });
        });
        if (page.dataset.refresh === '1') {
            window.setInterval(function () { if (!document.hidden) { again(); } }, EVERY);
        }
    }

    // -- one group -------------------------------------------------------------

    function about(found) {
        var group = found.group, rows = [['Why', esc(found.sentence)]];
        if (group) {
            rows.push(['State', badge(group.state) + (group.by ? ' by ' + esc(group.by) : '') +
                (group.reason ? ', because: ' + esc(group.reason) : '')]);
            rows.push(['Depth', count(group.depth, 'task')]);
            rows.push(['Oldest waits for', esc(span(group.oldest_age))]);
            if (group.last_error) {
                rows.push(['Last error', esc(group.last_error)]);
            }
        }
        if (found.head) {
            rows.push(['Head', taskLink(found.head) + ' ' + esc(found.head.task || '') +
                (found.head.due ? ', due ' + when(found.head.due) : '')]);
        }
        rows.push(['Since Flower started', esc(found.succeeded.toLocaleString() + ' succeeded, ' + found.failed.toLocaleString() +
            ' failed')]);
        var html = rows.map(function (row) {
            return '<div class="detail-row"><dt>' + row[0] + '</dt><dd>' + row[1] + '</dd></div>';
        }).join('');
        if ($('#gf-about').data('html') !== html) {
            $('#gf-about').data('html', html).html(html);
        }
    }

    function lists(found) {
        table('#gf-t-running', [
            ['Task', taskLink], ['Name', function (row) { return plain(row.task); }],
            ['Worker', function (row) { return workerLink(row.worker); }],
            ['Lease left', function (row) { return esc(row.lease_left > 0 ? span(row.lease_left) : 'over'); }],
            ['Fence', function (row) { return esc(row.fence); }],
            ['Attempt', function (row) { return plain(row.attempt); }],
            ['Workers lost', function (row) { return esc(row.lost); }],
            ['Since', function (row) { return when(row.since); }],
            ['args', function (row) { return args(row.args); }], ['kwargs', function (row) { return args(row.kwargs); }]
        ], found.running, 'Nothing runs.');
        table('#gf-t-tasks', [
            ['Place', function (row) { return esc(row.place); }], ['Task', taskLink],
            ['Name', function (row) { return plain(row.task); }],
            ['args', function (row) { return args(row.args); }], ['kwargs', function (row) { return args(row.kwargs); }],
            ['Waits for', function (row) { return esc(span(row.age)); }],
            ['Retries', function (row) { return esc(row.retries); }]
        ], found.tasks, 'No task is in line here.');
        table('#gf-t-scheduled', [['Task', taskLink], ['Due', function (row) { return when(row.due); }]],
            found.scheduled, 'None.');
        table('#gf-t-failures', [
            ['Task', taskLink], ['Name', function (row) { return plain(row.task); }],
            ['Error', function (row) { return plain(row.exception); }, 'gf-wide'],
            ['Worker', function (row) { return workerLink(row.worker); }], ['When', function (row) { return when(row.when); }]
        ], found.failures, 'None.');
        table('#gf-t-letters', LETTERS, found.dead_letters, 'None.');
        table('#gf-t-history', HISTORY, found.actions, 'No action on this group is known.');
        ['scheduled', 'failures', 'letters'].forEach(function (name) {
            var rows = {scheduled: found.scheduled, failures: found.failures, letters: found.dead_letters}[name];
            $('#gf-s-' + name).toggleClass('d-none', !rows.length);
        });
    }

    function groupPage(box) {
        var key = box.dataset.key, last = {}, from = 0, look;

        function buttons(found) {
            var group = found.group, state = group ? group.state : '', runs = found.running.length > 0,
                head = group && group.head && !runs, may = {
                    pause: state !== 'paused', resume: state === 'paused' || state === 'draining',
                    retry: state === 'held' || state === 'blocked', drain: !!group && state !== 'draining',
                    skip: !!head, drop: !!head, purge: !!group && group.depth > found.running.length
                };
            $('#gf-actions [data-verb]').each(function () { this.disabled = !may[this.dataset.verb]; });
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
        redrives(look);
        $('#gf-actions').on('click', '[data-verb]', function () {
            var verb = this.dataset.verb, group = last.group, head = group && group.head, said = {},
                name = last.head && last.head.task, notRunning = group ? group.depth - last.running.length : 0,
                words = {
                    key: "'" + visible(key) + "'", head: name ? name + '[' + head + ']' : head,
                    depth: count(group ? group.depth : 0, 'task'), not_running: count(notRunning, 'task'),
                    behind: count(Math.max(notRunning - 1, 0), 'task')
                };
            function go(reason) {
                said.reason = reason || '';
                post('/api/group/' + verb + '/' + box.dataset.path, said, look);
            }
            if (QUESTIONS[verb].on_head) {
                said.expected = head;
            }
            if (QUESTIONS[verb].one) {
                confirmedVerb(verb, QUESTIONS[verb].one, words, go);
            } else {
                go('');
            }
        });
    }

    // -- other pages ------------------------------------------------------------

    function lettersPage() {
        var ids = [], look;
        look = poll(function () { return page.dataset.base + '/dead-letters/data?limit=200'; }, function (found) {
            // the oldest first, so that tasks of one group come back in their order
            ids = found.dead_letters.filter(function (row) { return row.readable; }).map(function (row) { return row.id; });
            ids.reverse();
            $('#gf-redrive-all').prop('disabled', !ids.length);
            table('#gf-t-letters', LETTERS, found.dead_letters, 'No task was set aside.');
            $('#gf-total').text('Showing ' + found.dead_letters.length + ' of ' + count(found.total, 'dead letter') + '.');
        });
        redrives(look);
        $('#gf-redrive-all').on('click', function () {
            var these = ids;
            confirmed('Redrive ' + count(these.length, 'task') + '?', 'All that are shown join the tails of their groups ' +
                'again, the oldest first.', 'Redrive ' + count(these.length, 'task'), false, false, function () {
                post('/api/groups/redrive', {ids: these, to: 'tail'}, look);
            });
        });
    }

    function workersPage() {
        poll(function () { return page.dataset.base + '/workers/data'; }, function (found) {
            warn(found.unconsumed_queues, found.workers.filter(function (worker) { return worker.answers; }).length);
            table('#gf-t-workers', [
                ['Worker', function (row) { return row.known ? workerLink(row.name) : esc(row.name); }],
                ['Answers', function (row) {
                    return '<span class="badge ' + (row.answers ? 'bg-success">yes' : 'bg-secondary">no') + '</span>';
                }],
                ['Leases', function (row) { return esc(row.leases); }],
                ['First lease ends in', function (row) { return esc(span(row.lease_left)); }],
                ['Queues', function (row) { return plain(row.queues.join(', ')); }, 'gf-wide']
            ], found.workers, 'No worker answers, and none holds a lease.');
            table('#gf-t-leases', [
                ['Group', function (row) { return keyLink(row.key); }], ['Task', taskLink],
                ['Worker', function (row) { return workerLink(row.worker); }],
                ['Fence', function (row) { return esc(row.fence); }], ['Since', function (row) { return when(row.since); }],
                ['Lease left', function (row) { return esc(row.lease_left > 0 ? span(row.lease_left) : 'over'); }]
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
        var pages = {groups: groupsPage, group: groupPage, letters: lettersPage, workers: workersPage, actions: actionsPage};
        Object.keys(pages).forEach(function (name) {
            var box = document.getElementById('gf-' + name);
            if (box) {
                pages[name](box);
            }
        });
    });
}());
