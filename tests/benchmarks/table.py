"""From the runs to one table."""
import datetime
import os
import platform
import statistics

COLUMNS = ('shape', 'server', 'deliveries/s', 'x floor', 'x usual', 'ns/delivery (user)', 'CPU',
           'p50 ms', 'p99 ms', 'KiB/conn', 'setups/s', 'void')


def per_second(run):
    return run['deliveries'] / run['seconds']


def nanoseconds(run, kind='cpu'):
    return run['server'][kind] / run['deliveries'] * 1e9


def spread(values):
    """The median, and the least and the most."""
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


def describe(runs, servers):
    """What is told of a server in a shape. Void runs count for memory and set-up only."""
    told = {'rounds': len(runs), 'void': sum(run['void'] for run in runs),
            'bytes_per_connection': spread([run['bytes_per_connection'] for run in runs]),
            'setup_per_second': spread([run['setup_per_second'] for run in runs])}
    good = [run for run in runs if not run['void']]
    if not good:
        return told
    told['cpu_share'] = spread([run['server']['share'] for run in good])
    told['waited_share'] = spread([run['server']['waited_share'] for run in good])
    told['pings_per_second'] = spread([run['pings'] / run['seconds'] for run in good])
    if not all(run['deliveries'] for run in good):
        return told
    told['deliveries_per_second'] = spread([per_second(run) for run in good])
    told['cpu_ns_per_delivery'] = spread([nanoseconds(run) for run in good])
    told['user_ns_per_delivery'] = spread([nanoseconds(run, 'user') for run in good])
    for q in ('p50', 'p90', 'p99', 'p999', 'max'):
        told[f'latency_{q}_us'] = spread([run['latency_us'][q] for run in good])
    for other in ('floor', 'usual-beast'):
        # Within a round: void ones of either are left out.
        ratios = [per_second(run) / per_second(theirs)
                  for run, theirs in zip(runs, servers.get(other, []))
                  if not run['void'] and not theirs['void'] and theirs['deliveries']]
        if ratios:
            told[f'ratio_to_{other}'] = spread(ratios)
    return told


def summary(results, options):
    """What goes into the JSON: the medians, and every run."""
    return {
        'when': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'machine': {'kernel': platform.release(), 'cores': os.cpu_count(), 'model': model()},
        'rounds': options.rounds, 'quick': options.quick,
        'results': [
            {'shape': {k: v for k, v in result['shape'].items() if v is not None},
             'servers': {server: {'summary': describe(runs, result['servers']), 'runs': runs}
                         for server, runs in result['servers'].items()}}
            for result in results]}


def model():
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as info:
            return next(line.split(':')[1].strip() for line in info
                        if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.machine()


def short(value):
    """Three digits are enough: 2.51M, 198k, 42."""
    for limit, unit in ((1e6, 'M'), (1e3, 'k')):
        if value >= limit:
            return f'{value / limit:.3g}{unit}' if value < 1000 * limit else f'{value:.3g}'
    return f'{value:.3g}'


def milliseconds(us):
    return f'{us / 1000:.3g}' if us < 1e6 else f'{us / 1000:.0f}'


def cell(told, key, show=short, ranged=False):
    if key not in told:
        return '-'
    value = told[key]
    text = show(value['median'])
    if ranged and told['rounds'] > 1:
        text += f' [{show(value["min"])}-{show(value["max"])}]'
    return text


def row(shape, server, told):
    costs = cell(told, 'cpu_ns_per_delivery', ranged=True)
    if costs != '-':
        costs += f' ({cell(told, "user_ns_per_delivery")})'
    ratio = '{:.2f}'.format
    return (shape, server, cell(told, 'deliveries_per_second', ranged=True),
            cell(told, 'ratio_to_floor', ratio), cell(told, 'ratio_to_usual-beast', ratio), costs,
            # Idle servers need some digits.
            cell(told, 'cpu_share', lambda share: f'{share * 100:.3g}%'),
            cell(told, 'latency_p50_us', milliseconds), cell(told, 'latency_p99_us', milliseconds),
            cell(told, 'bytes_per_connection', lambda n: f'{n / 1024:.1f}'),
            cell(told, 'setup_per_second'), str(told['void']) if told['void'] else '')


def render(results):
    rows = [COLUMNS]
    busy = 0
    for result in results:
        shape = result['shape']['name']
        for server, runs in result['servers'].items():
            told = describe(runs, result['servers'])
            rows.append(row(shape, server, told))
            busy = max(busy, told.get('waited_share', {'median': 0})['median'])
            shape = ''
    widths = [max(len(r[i]) for r in rows) for i in range(len(COLUMNS))]
    lines = ['  '.join(text.ljust(width) if i < 2 else text.rjust(width)
                       for i, (text, width) in enumerate(zip(r, widths))).rstrip() for r in rows]
    lines.insert(1, '-' * max(len(line) for line in lines))
    lines += ['', 'Medians [least-most] of the rounds; ratios are of deliveries within a round.',
              'void: rounds that do not count, since the load could do no more before the server.']
    if busy > 0.05:
        lines.append('This machine was not quiet: a server had to wait for its core for '
                     f'{busy:.0%} of the time.')
    return '\n'.join(lines)
