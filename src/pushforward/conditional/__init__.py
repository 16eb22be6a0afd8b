"""Tables given some of their cells: samples of an event, blanks filled, and which cells make a row unlikely."""

from .events import Event as Event
from .explain import explain as explain
from .given import sample_given as sample_given
from .impute import impute as impute
