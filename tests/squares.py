"""A run that worker processes can import: it squares a number and writes down that it did."""


def square(log, spec, data):
    """Square x and write down that this was done; x = 13 fails."""
    if spec["x"] == 13:
        raise ValueError("unlucky")
    with log.open("a") as file:
        file.write(f"{spec['x']}\n")
    return {"square": spec["x"] ** 2, "data": str(data)}
