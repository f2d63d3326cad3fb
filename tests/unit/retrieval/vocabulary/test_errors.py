import inspect

from twotower.retrieval.vocabulary import errors


def test_the_tree_in_the_docstring_matches_the_classes():
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    drawn = {
        line.lstrip(" │├└─").split()[0]: (len(line) - len(line.lstrip(" │├└─"))) // 4
        for line in (errors.__doc__ or "").splitlines()
        if line.startswith("    ")
    }
    assert set(drawn) == {c.__name__ for c in classes}
    for each in classes:
        ancestors = [a for a in each.__mro__ if a in classes]
        assert drawn[each.__name__] == len(ancestors), each.__name__


def test_exit_codes_follow_the_kind_of_error():
    assert errors.ConfigurationError.exit_code == errors.IndexMismatch.exit_code == 2
    assert errors.DocumentError.exit_code == 1
    assert errors.ServiceError.exit_code == 3
