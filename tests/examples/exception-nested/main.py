import json


class ConfigError(Exception):
    pass


def parse(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"bad configuration: {text!r}") from error


def main():
    print("loading")
    parse("{not json}")


main()
