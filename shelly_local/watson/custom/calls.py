"""IBM's calls about custom classifiers, for ``VisualRecognition`` to inherit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shelly_local.watson.contract.failures import request_error
from shelly_local.watson.contract.types import Classifier, Classifiers
from shelly_local.watson.custom.names import training_headers
from shelly_local.watson.responses import DetailedResponse
from shelly_local.watson.uploads import ImagesFile

if TYPE_CHECKING:
    from shelly_local.vision.classifier import EmotionClassifier
    from shelly_local.watson.custom.catalogue import Snapshot
    from shelly_local.watson.custom.classifiers import CustomClassifiers

_POSITIVE = "_positive_examples"


class CustomClassifierCalls:
    """Create, list, get, update and delete custom classifiers, as IBM's Python SDK does.

    Nothing touches the data folder before a call is about custom classifiers.
    """

    def _set_up_custom(
        self,
        data_dir: str | os.PathLike[str] | None,
        model: Callable[[], EmotionClassifier | str | os.PathLike[str] | None],
    ) -> None:
        """To be called by the constructor.

        Args:
            data_dir: the data folder.
            model: asked, once, for the model whose embeddings are used.
        """
        self._data_dir = data_dir
        self._custom_model = model
        self._custom: CustomClassifiers | None = None
        self._opening_custom = threading.Lock()

    @property
    def custom_classifiers(self) -> CustomClassifiers:
        """The custom classifiers of the data folder, opened at the first use.

        A server should ask for them when it starts: what a killed process left unfinished
        is taken up then.

        Raises:
            ModelError: the emotion model is missing.
            StoreError: the data folder cannot be read.
        """
        with self._opening_custom:
            if self._custom is None:
                from shelly_local.watson.custom.classifiers import CustomClassifiers

                self._custom = CustomClassifiers(self._data_dir, self._custom_model())
            return self._custom

    def create_classifier(
        self,
        name: str,
        positive_examples: Mapping[str, ImagesFile] | None = None,
        negative_examples: ImagesFile | None = None,
        negative_examples_filename: str | None = None,
        *,
        headers: Mapping[str, object] | None = None,
        **examples: ImagesFile,
    ) -> DetailedResponse[Classifier]:
        """Create a custom classifier and train it, in a process beside.

        Ask :meth:`get_classifier` until ``status`` is ``ready``, or ``failed`` with an
        ``explanation``. Learnt from are faces where nearly all pictures show one,
        whole pictures elsewhere, or both. Of the pictures only embeddings are kept, for updates.

        Args:
            name: any text.
            positive_examples: for each class a zip file of 10 to 10,000 pictures, as bytes, a
                path, or a file opened in binary mode; 100 MB each, 256 MB in all.
            negative_examples: a zip file of pictures that show none of the classes. Needed
                beside a single class.
            negative_examples_filename: accepted and unused.
            headers: ``X-Watson-Learning-Opt-Out: true`` keeps nothing of the pictures;
                ``X-Watson-Metadata: customer_id=...`` says whose they are; ``X-Shelly-Learn-From``
                is ``faces``, ``pictures``, ``both``, or ``auto`` for what the data tell.
            **examples: classes as the first SDKs gave them: ``smile_positive_examples=...``.

        Returns:
            The classifier, with ``status`` ``training``.

        Raises:
            ApiException: 400, 413 or 429, as ``CustomClassifiers.create`` says.
            TypeError: another keyword, or a file of another kind.
            ValueError: ``name`` or the examples are missing, as in IBM's SDK.
        """
        if name is None:
            raise ValueError("name must be provided")
        positives = _positives(positive_examples, examples, "create_classifier")
        if not positives:
            raise ValueError("positive_examples must be provided")
        labels = training_headers(headers)
        return DetailedResponse(
            response=self.custom_classifiers.create(
                name,
                positives,
                negative_examples,
                learning_opt_out=labels.learning_opt_out,
                customer_id=labels.customer_id,
                learn_from=labels.learn_from,
            )
        )

    def list_classifiers(
        self, verbose: bool | None = None, headers: object = None
    ) -> DetailedResponse[Classifiers]:
        """List the custom classifiers: id, name and status, or with ``verbose`` all fields.

        Args:
            verbose: whether to give all fields.
            headers: accepted and unused.
        """
        return DetailedResponse(response=self.custom_classifiers.list(verbose=bool(verbose)))

    def get_classifier(
        self, classifier_id: str, headers: object = None
    ) -> DetailedResponse[Classifier]:
        """One custom classifier.

        Args:
            classifier_id: its id.
            headers: accepted and unused.

        Raises:
            ApiException: 404 for an unknown id.
            ValueError: the id is None.
        """
        return DetailedResponse(response=self.custom_classifiers.get(_given(classifier_id)))

    def update_classifier(
        self,
        classifier_id: str,
        positive_examples: Mapping[str, ImagesFile] | None = None,
        negative_examples: ImagesFile | None = None,
        negative_examples_filename: str | None = None,
        *,
        headers: Mapping[str, object] | None = None,
        **examples: ImagesFile,
    ) -> DetailedResponse[Classifier]:
        """Add pictures or classes to a custom classifier and train it again.

        It answers as before until that has ended. If that fails, the earlier version stays,
        with an ``explanation``. Arguments are those of :meth:`create_classifier`.

        Args:
            classifier_id: of a classifier that is ready.
            positive_examples: a zip file for each class, known or new.
            negative_examples: a zip file of pictures that show none of the classes.
            negative_examples_filename: accepted and unused.
            headers: see :meth:`create_classifier`. After an opt-out nothing is kept of any
                picture, and no further update is possible.
            **examples: classes as keywords.

        Returns:
            The classifier, with ``status`` ``retraining``.

        Raises:
            ApiException: 400, 404, 409, 413 or 429, as ``CustomClassifiers.update`` says.
            TypeError: another keyword, or a file of another kind.
            ValueError: the id is None.
        """
        positives = _positives(positive_examples, examples, "update_classifier")
        labels = training_headers(headers)
        return DetailedResponse(
            response=self.custom_classifiers.update(
                _given(classifier_id),
                positives,
                negative_examples,
                learning_opt_out=labels.learning_opt_out,
                customer_id=labels.customer_id,
                learn_from=labels.learn_from,
            )
        )

    def delete_classifier(
        self, classifier_id: str, headers: object = None
    ) -> DetailedResponse[dict[str, Any]]:
        """Delete a custom classifier and all that is kept of its pictures.

        Args:
            classifier_id: its id.
            headers: accepted and unused.

        Raises:
            ApiException: 404 for an unknown id.
            ValueError: the id is None.
        """
        self.custom_classifiers.delete(_given(classifier_id))
        return DetailedResponse(response={})

    def get_core_ml_model(
        self, classifier_id: str, headers: object = None
    ) -> DetailedResponse[bytes]:
        """Not available: ``core_ml_enabled`` is false for every classifier.

        Args:
            classifier_id: its id.
            headers: accepted and unused.

        Raises:
            ApiException: 404, always.
            ValueError: the id is None.
        """
        return DetailedResponse(
            response=self.custom_classifiers.core_ml_model(_given(classifier_id))
        )

    def delete_user_data(
        self, customer_id: str, headers: object = None
    ) -> DetailedResponse[dict[str, Any]]:
        """Delete every custom classifier with pictures of a customer, at once.

        Args:
            customer_id: as in ``X-Watson-Metadata`` of create or update. None of that id is
                no error.
            headers: accepted and unused.

        Raises:
            ApiException: 400, if the id is empty or too long.
            ValueError: the id is None.
        """
        self.custom_classifiers.delete_user_data(_given(customer_id, "customer_id"))
        return DetailedResponse(response={})

    def close(self, *, wait: bool = True) -> None:
        """End training, as ``CustomClassifiers.close`` does; a later call begins anew.

        Args:
            wait: finish what is under way, instead of stopping it.
        """
        with self._opening_custom:
            custom = self._custom
        if custom is not None:
            custom.close(wait=wait)

    def _find_custom(
        self,
        classifier_ids: Sequence[str] | None,
        owners: Sequence[str] | None,
        built_in: Sequence[str],
    ) -> dict[str, Snapshot]:
        """The custom classifiers that a request could mean; none without a look at the disk."""
        if classifier_ids is not None:
            asked = [name for name in classifier_ids if name not in built_in]
            return self.custom_classifiers.find(asked) if asked else {}
        if any(owner.lower() == "me" for owner in owners or ()):
            return self.custom_classifiers.find()
        return {}


def _given(value: str, name: str = "classifier_id") -> str:
    if value is None:
        raise ValueError(f"{name} must be provided")
    return value


def _positives(
    positives: Mapping[str, ImagesFile] | None, examples: Mapping[str, ImagesFile], call: str
) -> dict[str, ImagesFile]:
    """All classes of a call, from the mapping and from keywords."""
    found = dict(positives or {})
    for keyword, file in examples.items():
        name = keyword.removesuffix(_POSITIVE)
        if name == keyword:
            raise TypeError(f"{call}() got an unexpected keyword {keyword!r}")
        if name in found:
            raise request_error(f"The class {name!r} was given twice.")
        found[name] = file
    return found
